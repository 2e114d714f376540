//! Proving who asks: basic credentials, and bearer tokens of the server that the registry names.
//!
//! Nothing is shown before it is asked for, and nothing is looked up before that. Then all connections to one
//! repository share what was found, until it is refused or about to end; what nobody uses is forgotten.

mod admission;
mod connections;
mod proof;
mod realm;
mod session;
mod sessions;
mod token;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use reqwest::Response;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use crate::challenge::{self, Challenge};
use crate::credentials::{CredentialKey, Credentials, Found, FoundIn, Keychain, Kind, best_match};
use crate::hosts::Endpoint;
pub(crate) use admission::Request;

use connections::Registry;
use proof::Proof;
use session::{Session, Shown, State};
use sessions::Sessions;
use token::{NoToken, Token, TokenServer};

/// Who asks, by the host that is asked and the repository on it.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    /// What the program was told.
    explicit: BTreeMap<String, Credentials>,
    /// What the user has stored.
    keychain: Option<Keychain>,
    /// Whether to be let in as somebody else, or as nobody, is no success.
    insists: bool,
    sessions: Sessions,
}

/// A 401: what it asks for, and where the host was that said it.
#[derive(Debug)]
pub(crate) struct Refusal {
    challenge: Option<Challenge>,
    /// Whether it says at all what it wants.
    pub(crate) is_silent: bool,
    registry_at: Option<SocketAddr>,
}

impl Refusal {
    pub(crate) fn of(response: &Response) -> Self {
        let headers = response.headers();
        let is_silent = !headers.contains_key(WWW_AUTHENTICATE);
        Self { challenge: choose(headers), is_silent, registry_at: response.remote_addr() }
    }
}

impl Clone for Auth {
    /// The same credentials, and nothing of what was got for them.
    fn clone(&self) -> Self {
        let (explicit, keychain) = (self.explicit.clone(), self.keychain.clone());
        Self { explicit, keychain, insists: self.insists, ..Self::default() }
    }
}

impl Auth {
    /// These credentials for a registry and no others: to be let in as somebody else, or as nobody, is a failure.
    pub(crate) fn insisting(registry: &str, credentials: &Credentials) -> Self {
        let mut auth = Self { insists: true, ..Self::default() };
        auth.add(registry.to_owned(), credentials.clone());
        auth
    }

    /// Adds credentials for a registry, by its name in references.
    pub(crate) fn add(&mut self, registry: String, credentials: Credentials) {
        self.explicit.insert(registry, credentials);
    }

    /// Looks up what was not added in what the user has stored.
    pub(crate) fn search(&mut self, keychain: Keychain) {
        self.keychain = Some(keychain);
    }

    /// Forgets what was found in what the user has stored, which has been changed.
    pub(crate) fn forget(&self) {
        if let Some(keychain) = &self.keychain {
            keychain.forget();
        }
    }

    /// Where the credentials for a key are found at present.
    pub(crate) async fn source(&self, key: &CredentialKey) -> Option<FoundIn> {
        if best_match(&self.explicit, key).is_some() {
            return Some(FoundIn::Given);
        }
        let found = self.keychain.as_ref()?.find(key, None).await;
        found.credentials.map(|(_, place)| FoundIn::Keychain(place))
    }

    fn session(&self, endpoint: &Endpoint) -> Arc<Session> {
        let key = CredentialKey::new(&endpoint.registry, &endpoint.repository);
        self.sessions.of(key)
    }

    /// What to show with a request. A token that is about to end is replaced first.
    pub(crate) async fn show(&self, request: &Request<'_>) -> Result<Shown> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        let asked = state.proof.as_ref().and_then(|proof| proof.asked.clone());
        let Some(asked) = asked.filter(proof::Asked::is_due) else { return Ok(state.shown()) };
        match self.token(&mut state, request, &asked.challenge, asked.registry_at).await {
            Ok(proof) => Ok(state.show(proof)),
            Err(error) if !asked.has_ended() => {
                tracing::debug!(
                    error = error.report(),
                    "a token that is about to end cannot be replaced yet"
                );
                Ok(state.shown())
            }
            Err(error) => Err(state.explain(error)),
        }
    }

    /// What to show in place of what was refused. `None`: there is nothing.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        refusal: &Refusal,
        shown: &Shown,
    ) -> Result<Option<Shown>> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        if state.is_newer_than(shown) {
            return Ok(Some(state.shown())); // somebody else was faster
        }
        let Some(challenge) = &refusal.challenge else { return Ok(None) };
        let proof = match challenge.scheme.as_str() {
            // A new token that is no good: another would be no better.
            "bearer" if shown.is_fresh => None,
            "bearer" => match self.token(&mut state, request, challenge, refusal.registry_at).await {
                Ok(proof) => Some(proof),
                Err(error) => return Err(state.explain(error)),
            },
            _ => self.basic(&mut state, request.endpoint).await,
        };
        Ok(proof.map(|proof| state.show(proof)))
    }

    /// What to show in place of credentials that are not allowed to do what anybody may be (GHCR's 403 to ones that
    /// have expired): a token for nobody, for this request only. `None`: there is none, or it was no use before.
    pub(crate) async fn without_credentials(&self, request: &Request<'_>, shown: &Shown) -> Option<Shown> {
        let session = self.session(request.endpoint);
        let state = session.lock().await;
        if self.insists || state.is_newer_than(shown) || state.without_was_no_use {
            return None;
        }
        let proof = state.proof.as_ref().filter(|proof| proof.credentials.is_some())?;
        let asked = proof.asked.clone()?;
        let server = token_server(request, &asked.challenge, asked.registry_at).ok()?;
        let token = server.fetch(None).await.ok()?;
        Some(state.show_apart(Proof::of_token(token, None, asked.challenge, asked.registry_at)))
    }

    /// Says whether it was any use to come without credentials. If so, the session goes on like that.
    pub(crate) async fn was_without(&self, endpoint: &Endpoint, shown: Shown, was_let_in: bool) {
        let session = self.session(endpoint);
        let mut state = session.lock().await;
        if !was_let_in {
            state.without_was_no_use = true;
        } else if let Some(proof) = shown.apart {
            warn_of_refused(endpoint);
            state.show(proof);
        }
    }

    /// The error that being refused comes to: with what could not be asked for credentials.
    pub(crate) async fn explain(&self, endpoint: &Endpoint, error: Error) -> Error {
        let session = self.session(endpoint);
        let state = session.lock().await;
        state.explain(error)
    }

    /// Basic credentials that are not those which were refused just now.
    async fn basic(&self, state: &mut State, endpoint: &Endpoint) -> Option<Proof> {
        let refused = state.proof.as_ref().and_then(|proof| proof.credentials.clone());
        let (credentials, source) = self.find(state, endpoint, refused.as_ref()).await?;
        if Some(&credentials) == refused.as_ref() {
            state.troubles.push(refused_credentials(&source));
            return None;
        }
        Some(Proof::of_credentials(&credentials))
    }

    /// A new token, for credentials if there are any.
    async fn token(
        &self,
        state: &mut State,
        request: &Request<'_>,
        challenge: &Challenge,
        registry_at: Option<SocketAddr>,
    ) -> Result<Proof> {
        let endpoint = request.endpoint;
        let server = token_server(request, challenge, registry_at)?;
        let proof = |state: &mut State, token: Token, credentials| {
            state.refresh.clone_from(&token.refresh);
            Proof::of_token(token, credentials, challenge.clone(), registry_at)
        };
        if let Some(refresh) = state.refresh.take()
            && let Some(token) = server.refresh(&refresh).await
        {
            let credentials = state.proof.as_ref().and_then(|proof| proof.credentials.clone());
            return Ok(proof(state, token, credentials));
        }
        let Some((credentials, source)) = self.find(state, endpoint, None).await else {
            let token = server.fetch(None).await.map_err(|none| none.error)?;
            return Ok(proof(state, token, None));
        };
        if credentials.kind == Kind::RegistryToken {
            return Ok(Proof::of_credentials(&credentials));
        }
        let refused = match server.fetch(Some(&credentials)).await {
            Ok(token) => return Ok(proof(state, token, Some(credentials))),
            Err(NoToken { is_refused: false, error }) => return Err(error),
            Err(refused) => refused.error,
        };
        // A helper may have better ones by now.
        if let Some((better, _)) = self.find(state, endpoint, Some(&credentials)).await
            && better != credentials
            && let Ok(token) = server.fetch(Some(&better)).await
        {
            return Ok(proof(state, token, Some(better)));
        }
        // What anybody may pull, those may pull whose credentials have ended.
        if !self.insists
            && let Ok(token) = server.fetch(None).await
        {
            warn_of_refused(endpoint);
            state.troubles.push(refused_credentials(&source));
            return Ok(proof(state, token, None));
        }
        state.troubles.push(refused_credentials(&source));
        Err(refused)
    }

    /// The credentials for an endpoint, and whose they are. What cannot be asked is noted.
    async fn find(
        &self,
        state: &mut State,
        endpoint: &Endpoint,
        refused: Option<&Credentials>,
    ) -> Option<(Credentials, String)> {
        let key = CredentialKey::new(&endpoint.registry, &endpoint.repository);
        if let Some((_, credentials)) = best_match(&self.explicit, &key) {
            return Some((credentials.clone(), "that were given".to_owned()));
        }
        let found = match &self.keychain {
            Some(keychain) => keychain.find(&key, refused).await,
            None => Found::default(),
        };
        for trouble in &found.troubles {
            tracing::debug!(
                registry = endpoint.registry,
                error = trouble.report(),
                "cannot look for credentials"
            );
        }
        state.troubles = found.troubles;
        found.credentials.map(|(credentials, source)| (credentials, format!("of {source}")))
    }
}

/// The token server that a challenge names.
fn token_server<'a>(
    request: &'a Request<'a>,
    challenge: &Challenge,
    registry_at: Option<SocketAddr>,
) -> Result<TokenServer<'a>> {
    let Request { endpoint, transport, .. } = *request;
    TokenServer::of(Registry { endpoint, transport, at: registry_at }, challenge)
}

fn refused_credentials(source: &str) -> Error {
    Error::new(ErrorKind::Unauthorized, format!("the credentials {source} were refused"))
}

fn warn_of_refused(endpoint: &Endpoint) {
    tracing::warn!(registry = endpoint.registry, "the credentials were refused; going on without");
}

/// The challenge to answer: a bearer one before a basic one. Others are not known.
fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut challenges: Vec<_> = values.flat_map(challenge::parse).collect();
    challenges.retain(|c| c.scheme == "bearer" || c.scheme == "basic");
    challenges.sort_by_key(|c| c.scheme != "bearer");
    challenges.into_iter().next()
}
