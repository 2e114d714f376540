//! Authentication to registries: basic credentials, and bearer tokens from the token server that a registry names.
//!
//! hoist looks up and sends credentials only after a registry has asked for them. All connections to one repository
//! then share the authorization, until the registry refuses it or it expires. A session that is not used is forgotten.

mod authorization;
pub(crate) mod challenge;
mod connections;
mod exchange;
mod realm;
mod session;
mod sessions;
mod token;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hoist_core::{CredentialKind, Credentials, Error, ErrorKind, Result};
use reqwest::Response;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use crate::credentials::{CredentialKey, Found, FoundIn, Keychain, best_match};
use crate::hosts::Endpoint;
pub(crate) use exchange::Request;

use authorization::Authorization;
use challenge::Challenge;
use connections::Registry;
use session::{Presented, Session, State};
use sessions::Sessions;
use token::{NoToken, Token, TokenServer};

/// The credentials for all registries, and the sessions with them.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    /// Credentials that the program or its configuration gave.
    explicit: BTreeMap<String, Credentials>,
    /// Credentials that the user has stored.
    keychain: Option<Keychain>,
    /// Whether only these credentials will do: access without them, or with others, is a failure.
    insists: bool,
    sessions: Sessions,
}

/// A 401: the challenge in it, and the address of the host that sent it.
#[derive(Debug)]
pub(crate) struct Refusal {
    challenge: Option<Challenge>,
    /// Whether it has no challenge at all.
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
    /// The same credentials, without the sessions.
    fn clone(&self) -> Self {
        let (explicit, keychain) = (self.explicit.clone(), self.keychain.clone());
        Self { explicit, keychain, insists: self.insists, ..Self::default() }
    }
}

impl Auth {
    /// These credentials for a registry and no others. Access without them is a failure.
    pub(crate) fn insisting(registry: &str, credentials: &Credentials) -> Self {
        let explicit = BTreeMap::from([(registry.to_owned(), credentials.clone())]);
        Self { explicit, insists: true, ..Self::default() }
    }

    /// Uses these credentials, by the names of their registries in references.
    pub(crate) fn give(&mut self, credentials: BTreeMap<String, Credentials>) {
        self.explicit = credentials;
    }

    /// Looks up credentials that were not given in this keychain.
    pub(crate) fn search(&mut self, keychain: Keychain) {
        self.keychain = Some(keychain);
    }

    /// Forgets the keychain's answers, after it was changed.
    pub(crate) fn forget(&self) {
        if let Some(keychain) = &self.keychain {
            keychain.forget();
        }
    }

    /// The place that has the credentials for a key now.
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

    /// The authorization for a request. A token that is about to expire is replaced first.
    pub(crate) async fn present(&self, request: &Request<'_>) -> Result<Presented> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        let asked = state.authorization.as_ref().and_then(|authorization| authorization.asked.clone());
        let Some(asked) = asked.filter(authorization::Asked::is_due) else { return Ok(state.presented()) };
        match self.token(&mut state, request, &asked.challenge, asked.registry_at).await {
            Ok(authorization) => Ok(state.present(authorization)),
            Err(error) if !asked.has_ended() => {
                tracing::debug!(
                    error = error.report(),
                    "a token that is about to expire cannot be replaced yet"
                );
                Ok(state.presented())
            }
            Err(error) => Err(state.explain(error)),
        }
    }

    /// The authorization in place of a refused one. `None`: there is none.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        refusal: &Refusal,
        presented: &Presented,
    ) -> Result<Option<Presented>> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        if state.is_newer_than(presented) {
            return Ok(Some(state.presented())); // another request was faster
        }
        self.answer_in(&mut state, request, refusal, presented).await
    }

    /// The authorization for a registry that hides a repository from nobody, with 404 or 403 (zot, Docker's own). Only if
    /// there are credentials for it, and `/v2/` asks for some; that is asked once. `None`: there is none.
    pub(crate) async fn introduce(
        &self,
        request: &Request<'_>,
        presented: &Presented,
    ) -> Result<Option<Presented>> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        if state.is_newer_than(presented) {
            return Ok(Some(state.presented())); // another request was faster
        }
        if state.base_was_asked {
            return Ok(None);
        }
        if self.find(&mut state, request.endpoint, None).await.is_none() {
            return Ok(None);
        }
        // A failure says nothing, and there may be a login later: neither is remembered.
        let refusal = request.base_refusal(presented).await?;
        state.base_was_asked = true;
        let Some(refusal) = refusal else { return Ok(None) };
        self.answer_in(&mut state, request, &refusal, presented).await
    }

    /// The authorization in place of credentials that are forbidden now: a helper may have newer ones (ECR's 403 to expired
    /// tokens). `None`: there are no others.
    pub(crate) async fn newer(&self, request: &Request<'_>, presented: &Presented) -> Option<Presented> {
        let session = self.session(request.endpoint);
        let mut state = session.lock().await;
        if state.is_newer_than(presented) {
            return Some(state.presented());
        }
        let refused = state.authorization.as_ref()?.clone();
        let credentials = refused.credentials?;
        let (newer, _) = self.find(&mut state, request.endpoint, Some(&credentials)).await?;
        if newer == credentials || newer.kind() != credentials.kind() {
            return None;
        }
        let authorization = match refused.asked {
            None => Authorization::of_credentials(&newer),
            Some(asked) => {
                let server = token_server(request, &asked.challenge, asked.registry_at).ok()?;
                let token = server.fetch(Some(&newer)).await.ok()?;
                Authorization::of_token(token, Some(newer), asked.challenge, asked.registry_at)
            }
        };
        Some(state.present(authorization))
    }

    async fn answer_in(
        &self,
        state: &mut State,
        request: &Request<'_>,
        refusal: &Refusal,
        presented: &Presented,
    ) -> Result<Option<Presented>> {
        let Some(challenge) = &refusal.challenge else { return Ok(None) };
        let authorization = match challenge.scheme.as_str() {
            // The registry refused a new token: another one would not help.
            "bearer" if presented.is_fresh => None,
            "bearer" => match self.token(state, request, challenge, refusal.registry_at).await {
                Ok(authorization) => Some(authorization),
                Err(error) => return Err(state.explain(error)),
            },
            _ => self.basic(state, request.endpoint).await,
        };
        Ok(authorization.map(|authorization| state.present(authorization)))
    }

    /// An anonymous token for this request only, for credentials that may not pull a public image (GHCR's 403 to
    /// expired ones). `None`: there is none, or one did not help before.
    pub(crate) async fn without_credentials(
        &self,
        request: &Request<'_>,
        presented: &Presented,
    ) -> Option<Presented> {
        let session = self.session(request.endpoint);
        let state = session.lock().await;
        if self.insists || state.is_newer_than(presented) || state.without_was_no_use {
            return None;
        }
        let authorization =
            state.authorization.as_ref().filter(|authorization| authorization.credentials.is_some())?;
        let asked = authorization.asked.clone()?;
        let server = token_server(request, &asked.challenge, asked.registry_at).ok()?;
        let token = server.fetch(None).await.ok()?;
        Some(state.present_apart(Authorization::of_token(token, None, asked.challenge, asked.registry_at)))
    }

    /// Notes whether the anonymous token helped. If so, the session keeps using it.
    pub(crate) async fn was_without(&self, endpoint: &Endpoint, presented: Presented, was_let_in: bool) {
        let session = self.session(endpoint);
        let mut state = session.lock().await;
        if !was_let_in {
            state.without_was_no_use = true;
        } else if let Some(authorization) = presented.apart {
            warn_of_refused(endpoint);
            state.present(authorization);
        }
    }

    /// Adds to the error of a refused request why credentials could not be looked up.
    pub(crate) async fn explain(&self, endpoint: &Endpoint, error: Error) -> Error {
        let session = self.session(endpoint);
        let state = session.lock().await;
        state.explain(error)
    }

    /// Basic credentials, unless they are the ones that were refused just now.
    async fn basic(&self, state: &mut State, endpoint: &Endpoint) -> Option<Authorization> {
        let refused =
            state.authorization.as_ref().and_then(|authorization| authorization.credentials.clone());
        let (credentials, source) = self.find(state, endpoint, refused.as_ref()).await?;
        if credentials.kind() == CredentialKind::IdentityToken {
            // It is for a token server, and would be a password here.
            let message =
                format!("the identity token {source} is for a token server, and the registry names none");
            state.troubles.push(Error::new(ErrorKind::Unauthorized, message));
            return None;
        }
        if Some(&credentials) == refused.as_ref() {
            state.troubles.push(refused_credentials(&source));
            return None;
        }
        Some(Authorization::of_credentials(&credentials))
    }

    /// A new token, for the credentials if there are any.
    async fn token(
        &self,
        state: &mut State,
        request: &Request<'_>,
        challenge: &Challenge,
        registry_at: Option<SocketAddr>,
    ) -> Result<Authorization> {
        let endpoint = request.endpoint;
        let server = token_server(request, challenge, registry_at)?;
        let authorization = |state: &mut State, token: Token, credentials| {
            state.refresh.clone_from(&token.refresh);
            Authorization::of_token(token, credentials, challenge.clone(), registry_at)
        };
        if let Some(refresh) = state.refresh.take()
            && let Some(token) = server.refresh(&refresh).await
        {
            let credentials =
                state.authorization.as_ref().and_then(|authorization| authorization.credentials.clone());
            return Ok(authorization(state, token, credentials));
        }
        let Some((credentials, source)) = self.find(state, endpoint, None).await else {
            let token = server.fetch(None).await.map_err(|none| none.error)?;
            return Ok(authorization(state, token, None));
        };
        if credentials.kind() == CredentialKind::RegistryToken {
            return Ok(Authorization::of_credentials(&credentials));
        }
        let refused = match server.fetch(Some(&credentials)).await {
            Ok(token) => return Ok(authorization(state, token, Some(credentials))),
            Err(NoToken { is_refused: false, error }) => return Err(error),
            Err(refused) => refused.error,
        };
        // A helper may have newer ones by now.
        if let Some((better, _)) = self.find(state, endpoint, Some(&credentials)).await
            && better != credentials
            && let Ok(token) = server.fetch(Some(&better)).await
        {
            return Ok(authorization(state, token, Some(better)));
        }
        // Expired credentials must not stop the pull of a public image.
        if !self.insists
            && let Ok(token) = server.fetch(None).await
        {
            warn_of_refused(endpoint);
            state.troubles.push(refused_credentials(&source));
            return Ok(authorization(state, token, None));
        }
        state.troubles.push(refused_credentials(&source));
        Err(refused)
    }

    /// The credentials for an endpoint, and where they are from. Keeps the failures of the search for errors.
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

/// The challenge to answer: a bearer one before a basic one. Other schemes are ignored.
fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut challenges: Vec<_> = values.flat_map(challenge::parse).collect();
    challenges.retain(|c| c.scheme == "bearer" || c.scheme == "basic");
    challenges.sort_by_key(|c| c.scheme != "bearer");
    challenges.into_iter().next()
}
