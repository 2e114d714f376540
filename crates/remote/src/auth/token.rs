//! Requests to a token server, by
//! [distribution's token spec](https://distribution.github.io/distribution/spec/auth/token/) and by
//! [OAuth 2](https://distribution.github.io/distribution/spec/auth/oauth/).

use std::time::Duration;

use hoist_core::{CredentialKind, Credentials, Error, ErrorKind, Result, Secret};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::authorization;
use super::challenge::Challenge;
use super::connections::Registry;
use super::realm;
use crate::http::{Outgoing, Question, response};

const MAX_TOKEN: u64 = 1 << 20; // tokens of some registries reach tens of kilobytes
/// The lifetime of a token without a stated one, and the shortest that is believed: the spec forbids less.
const SHORTEST_LIFE: Duration = Duration::from_mins(1);
const LONGEST_LIFE: Duration = Duration::from_hours(24); // longer ones are renewed all the same
const CLIENT_ID: &str = "hoist";

/// A token server's answer.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) lifetime: Duration,
    /// The refresh token, which gets the next token.
    pub(super) refresh: Option<Secret>,
}

/// A token server, and the parameters of a request to it.
#[derive(Debug)]
pub(super) struct TokenServer<'a> {
    registry: Registry<'a>,
    realm: Url,
    parameters: Vec<(&'static str, String)>,
}

type Fetched = std::result::Result<Token, NoToken>;

/// The reason for having no token.
pub(super) struct NoToken {
    /// Whether the credentials were refused: others, or none, may get a token.
    pub(super) is_refused: bool,
    pub(super) error: Error,
}

impl From<Error> for NoToken {
    fn from(error: Error) -> Self {
        Self { is_refused: false, error }
    }
}

impl<'a> TokenServer<'a> {
    /// The server that the challenge names. Fails if it must not be asked.
    pub(super) fn of(registry: Registry<'a>, challenge: &Challenge) -> Result<Self> {
        let endpoint = registry.endpoint;
        let realm = realm::realm(endpoint, challenge)?;
        let service = challenge.parameters.get("service").map(|service| ("service", service.clone()));
        let scopes = realm::scopes(endpoint, challenge).into_iter().map(|scope| ("scope", scope));
        let parameters = service.into_iter().chain(scopes).collect();
        Ok(Self { registry, realm, parameters })
    }

    /// Fetches a token. Passwords go in a `GET`, which every server supports. Identity tokens go in a `POST`; some
    /// servers refuse it (ACR with 400, Artifactory with 401, others with 404 or 405) and then get a `GET`.
    pub(super) async fn fetch(&self, credentials: Option<&Credentials>) -> Fetched {
        let Some(credentials) = credentials else { return self.get(None).await };
        if credentials.kind() == CredentialKind::IdentityToken {
            let answer = self.post(self.refresh_form(credentials.secret())).await?;
            if !refuses_post(answer.status()) {
                return self.read(answer).await;
            }
            return self.get(Some(credentials)).await;
        }
        let answer = self.ask(Some(credentials)).await?;
        if !matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return self.read(answer).await;
        }
        let form = [
            ("grant_type", "password"),
            ("username", credentials.user()),
            ("password", credentials.secret().expose()),
        ];
        let posted = self.post(self.form(&form)).await?;
        self.read(if posted.status().is_success() { posted } else { answer }).await
    }

    /// Fetches a token for the refresh token that came with the last one. `None`: the server no longer accepts it.
    pub(super) async fn refresh(&self, refresh: &Secret) -> Option<Token> {
        let answer = self.post(self.refresh_form(refresh)).await.ok()?;
        let token = self.read(answer).await.ok()?;
        Some(Token { refresh: token.refresh.or_else(|| Some(refresh.clone())), ..token })
    }

    async fn get(&self, credentials: Option<&Credentials>) -> Fetched {
        let answer = self.ask(credentials).await?;
        self.read(answer).await
    }

    async fn ask(&self, credentials: Option<&Credentials>) -> Result<Response> {
        let mut url = self.realm.clone();
        url.query_pairs_mut().extend_pairs(&self.parameters);
        if self.parameters.is_empty() && self.realm.query().is_none() {
            url.set_query(None);
        }
        let private = credentials.map(|credentials| (AUTHORIZATION, authorization::basic(credentials)));
        self.send(Outgoing::new(Method::GET, url, HeaderMap::new(), private.into_iter().collect())).await
    }

    async fn post(&self, form: Zeroizing<String>) -> Result<Response> {
        self.send(Outgoing::post(self.realm.clone(), form)).await
    }

    async fn send(&self, request: Outgoing) -> Result<Response> {
        tracing::debug!(host = self.host(), scope = ?self.parameters, "asking for a token");
        Box::pin(self.registry.send(request)).await
    }

    fn refresh_form(&self, secret: &Secret) -> Zeroizing<String> {
        self.form(&[("grant_type", "refresh_token"), ("refresh_token", secret.expose())])
    }

    fn form(&self, grant: &[(&str, &str)]) -> Zeroizing<String> {
        let parameter = |name: &str| {
            let values = self.parameters.iter().filter(|(other, _)| *other == name);
            values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(grant).append_pair("client_id", CLIENT_ID);
        for name in ["service", "scope"] {
            let value = parameter(name);
            if !value.is_empty() {
                form.append_pair(name, &value);
            }
        }
        form.finish().into()
    }

    fn host(&self) -> &str {
        self.realm.host_str().unwrap_or_default()
    }

    async fn read(&self, answer: Response) -> Fetched {
        let is_refused = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || answer.status() == StatusCode::BAD_REQUEST;
        let timeout = self.registry.transport.limits.response;
        let answer = response::check(
            answer,
            Question { host: self.host(), what: "a token", url: &self.realm },
            timeout,
        )
        .await;
        let answer = answer.map_err(|error| NoToken { is_refused, error: not_of_an_image(error) })?;
        let body = response::read_bounded(answer, MAX_TOKEN, timeout).await;
        let body = body.map_err(|error| error.context(format!("{} gave no token", self.host())))?;
        let body = Zeroizing::new(body);
        let token = parse(&body);
        // The cause is left out: it could quote the token.
        Ok(token.ok_or_else(|| {
            Error::new(ErrorKind::Unauthorized, format!("{} answered with no token", self.host()))
        })?)
    }
}

fn refuses_post(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 404 | 405)
}

/// The two specs have different names for the token; servers send one or both.
fn parse(body: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<Secret>,
        access_token: Option<Secret>,
        refresh_token: Option<Secret>,
        expires_in: Option<Value>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let given = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
    let secret = given(answer.token).or(given(answer.access_token))?;
    let seconds = answer.expires_in.as_ref().and_then(seconds);
    let lifetime = seconds.map_or(SHORTEST_LIFE, Duration::from_secs).clamp(SHORTEST_LIFE, LONGEST_LIFE);
    Some(Token { secret, lifetime, refresh: given(answer.refresh_token) })
}

/// A number of seconds, which some servers write as a text.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `NotFound` is about images only, and would make the next backend be asked for the image.
fn not_of_an_image(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Unauthorized, error)
            .with_help("check the address of the registry: the token server that it names is none"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Option<(String, u64)> {
        parse(body.as_bytes()).map(|token| (token.secret.expose().to_owned(), token.lifetime.as_secs()))
    }

    #[test]
    fn a_token_is_read_whatever_it_is_called() {
        for (body, expected) in [
            (r#"{"token": "t", "expires_in": 300}"#, Some(("t", 300))),
            (r#"{"access_token": "a", "expires_in": 300}"#, Some(("a", 300))),
            (r#"{"token": "t", "access_token": "a"}"#, Some(("t", 60))),
            (r#"{"token": "", "access_token": "a", "expires_in": null}"#, Some(("a", 60))),
            (r#"{"token": "t", "expires_in": 5}"#, Some(("t", 60))),
            (r#"{"token": "t", "expires_in": -5}"#, Some(("t", 60))),
            (r#"{"token": "t", "expires_in": "120"}"#, Some(("t", 120))),
            (r#"{"token": "t", "expires_in": 18446744073709551615}"#, Some(("t", 86400))),
            (r#"{"token": "t", "expires_in": 1e300}"#, Some(("t", 60))),
            (r#"{"token": ""}"#, None),
            (r#"{"token": 5}"#, None),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
        ] {
            assert_eq!(parsed(body), expected.map(|(token, life)| (token.to_owned(), life)), "{body}");
        }
    }
}
