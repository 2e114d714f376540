//! Proving who asks: basic credentials, and bearer tokens by
//! [distribution's token spec](https://distribution.github.io/distribution/spec/auth/token/).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hoist_core::{Error, ErrorKind, Result};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::challenge::{self, Challenge};
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, is_loopback};
use crate::response;

const MAX_TOKEN: u64 = 1 << 20; // tokens of some registries reach tens of kilobytes

/// The `Authorization` that worked last, for each repository.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    credentials: HashMap<String, Credentials>,
    sessions: Mutex<HashMap<(String, String), Arc<Session>>>,
}

/// The `Authorization` for one repository. It is locked while a new one is fetched, so that all who need
/// it wait for one request.
pub(crate) type Session = tokio::sync::Mutex<Option<HeaderValue>>;

impl Clone for Auth {
    /// The same credentials, and nothing of what was got for them.
    fn clone(&self) -> Self {
        Self { credentials: self.credentials.clone(), ..Self::default() }
    }
}

impl Auth {
    /// Adds credentials for a registry, by its name in references.
    pub(crate) fn add(&mut self, registry: String, credentials: Credentials) {
        self.credentials.insert(registry, credentials);
    }

    pub(crate) fn session(&self, endpoint: &Endpoint) -> Arc<Session> {
        let key = (endpoint.registry.clone(), endpoint.repository.clone());
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// What to answer to a 401, in place of `refused`. `None`: there is nothing to answer with.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        refused: Option<HeaderValue>,
    ) -> Result<Option<HeaderValue>> {
        let session = self.session(endpoint);
        let mut current = session.lock().await;
        if *current != refused {
            return Ok(current.clone()); // somebody else was faster
        }
        let credentials = self.credentials.get(&endpoint.registry);
        *current = match choose(headers) {
            Some(challenge) if challenge.scheme == "bearer" => {
                Some(bearer(client, endpoint, &challenge, credentials).await?)
            }
            Some(_) => credentials.map(basic),
            None => None,
        };
        Ok(current.clone().filter(|answer| Some(answer) != refused.as_ref()))
    }
}

/// The challenge to answer: a bearer one before a basic one. Others are not known.
fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut challenges: Vec<_> = values.flat_map(challenge::parse).collect();
    challenges.retain(|c| c.scheme == "bearer" || c.scheme == "basic");
    challenges.sort_by_key(|c| c.scheme != "bearer");
    challenges.into_iter().next()
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let Credentials { user, password } = credentials;
    header("Basic", &BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Fetches a token that allows to pull from the repository.
async fn bearer(
    client: &Client,
    endpoint: &Endpoint,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
) -> Result<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let realm = realm(endpoint, challenge)?;
    let host = realm.host_str().unwrap_or_default().to_owned();
    let doing = format!("asking {host} for a token");
    let mut request = client.get(token_url(realm, endpoint, challenge));
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, basic(credentials));
    }
    let answer = request.send().await.map_err(|cause| response::failed(&doing, cause))?;
    let answer = response::check(answer, &host, "a token").await.map_err(not_of_an_image)?;
    let body = response::read_bounded(answer, MAX_TOKEN).await?;
    // The cause is left out: it could quote the token.
    let malformed = || Error::new(ErrorKind::Unauthorized, format!("{host} answered with no token"));
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let token =
        answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(malformed)?;
    Ok(header("Bearer", &token))
}

/// `NotFound` is said of images only, and makes others be asked for one.
fn not_of_an_image(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Unauthorized, error)
            .with_help("check the address of the registry: the token server that it names is none"),
        _ => error,
    }
}

/// The token server's address: absolute, or relative to the registry's.
///
/// The credentials go there, so it must not be less safe than the registry itself: no http where the
/// registry has TLS, and no other machine by its bare address (CVE-2026-48978, CVE-2026-33990).
fn realm(endpoint: &Endpoint, challenge: &Challenge) -> Result<Url> {
    let origin = endpoint.origin();
    let refused = |why: &str| {
        Error::new(
            ErrorKind::Unauthorized,
            format!("the token server that {} names {why}", endpoint.registry),
        )
        .with_help("no credentials were sent; is this registry to be trusted?")
    };
    let text = challenge.parameters.get("realm").filter(|text| !text.is_empty());
    let realm = text.and_then(|text| origin.join(text).ok());
    let realm = realm.ok_or_else(|| refused("has no valid address"))?;
    let same_host = realm.host_str() == origin.host_str();
    let local = |url: &Url| url.host_str().is_some_and(is_loopback);
    match realm.scheme() {
        "https" => {}
        "http" if origin.scheme() == "http" && (same_host || (local(&realm) && local(origin))) => {}
        _ => return Err(refused("is not reached over TLS")),
    }
    let by_name = realm.domain().is_some_and(|domain| !domain.is_empty());
    let both_local = local(&realm) && local(origin);
    if !(by_name || same_host || both_local) {
        return Err(refused("is a bare address of another machine"));
    }
    Ok(realm)
}

fn token_url(mut realm: Url, endpoint: &Endpoint, challenge: &Challenge) -> Url {
    let scope = format!("repository:{}:pull", endpoint.repository);
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = challenge.parameters.get("service") {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &scope);
    }
    realm
}

fn header(scheme: &str, secret: &str) -> HeaderValue {
    // What cannot stand in a header cannot have come from an honest server; it is then refused as empty.
    let mut value =
        HeaderValue::from_str(&format!("{scheme} {secret}")).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn realm_of(registry: &str, realm: &str) -> Result<String> {
        let endpoint = Endpoint::of(&format!("{registry}/x").parse().unwrap(), &HashSet::default()).unwrap();
        let challenge = challenge::parse(&format!("Bearer realm=\"{realm}\"")).remove(0);
        super::realm(&endpoint, &challenge).map(|url| url.to_string())
    }

    #[test]
    fn a_realm_is_as_safe_as_its_registry_or_refused() {
        for (registry, realm) in [
            ("ghcr.io", "https://ghcr.io/token"),
            ("docker.io", "https://auth.docker.io/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("10.0.0.1:5000", "https://10.0.0.1/token"),
        ] {
            assert_eq!(realm_of(registry, realm).unwrap(), realm);
        }
        assert_eq!(realm_of("ghcr.io", "/token").unwrap(), "https://ghcr.io/token");
        for (registry, realm) in [
            ("ghcr.io", "http://ghcr.io/token"),
            ("ghcr.io", "https://169.254.169.254/token"),
            ("ghcr.io", "https://[::ffff:169.254.169.254]/token"),
            ("ghcr.io", "file:///etc/passwd"),
            ("127.0.0.1:5000", "http://169.254.169.254/token"),
            ("127.0.0.1:5000", "http://auth.example.com/token"),
        ] {
            let error = realm_of(registry, realm).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unauthorized, "{registry} {realm}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::basic("me", "canary-secret");
        let shown = format!("{credentials:?} {:?}", basic(&credentials));
        assert!(!shown.contains("canary") && !shown.contains("bWU6"), "{shown}");
    }
}
