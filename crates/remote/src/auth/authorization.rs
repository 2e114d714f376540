//! An `Authorization` header for a registry, with the credentials and the challenge that it is from.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::challenge::Challenge;
use super::token::Token;
use hoist_core::{CredentialKind, Credentials, Secret};

/// A token is replaced this long before it expires, so that it is still valid when the registry checks it.
const MARGIN: Duration = Duration::from_secs(10);

/// A secret that a registry accepts, or may accept.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    scheme: &'static str,
    secret: Secret,
    /// The credentials behind it; none for an anonymous token.
    pub(super) credentials: Option<Credentials>,
    /// The challenge that a token was requested for; none without a token server.
    pub(super) asked: Option<Asked>,
}

/// The challenge that a token answers.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) challenge: Challenge,
    pub(super) registry_at: Option<SocketAddr>,
    ends: Instant,
}

impl Authorization {
    /// Basic credentials, or the user's own token.
    pub(super) fn of_credentials(credentials: &Credentials) -> Self {
        let (scheme, secret) = match credentials.kind() {
            CredentialKind::RegistryToken => ("Bearer", credentials.secret().clone()),
            CredentialKind::Password | CredentialKind::IdentityToken => ("Basic", encode(credentials)),
        };
        Self { scheme, secret, credentials: Some(credentials.clone()), asked: None }
    }

    /// A token, with the credentials and the challenge that it is from.
    pub(super) fn of_token(
        token: Token,
        credentials: Option<Credentials>,
        challenge: Challenge,
        registry_at: Option<SocketAddr>,
    ) -> Self {
        let asked = Asked { challenge, registry_at, ends: Instant::now() + token.lifetime };
        Self { scheme: "Bearer", secret: token.secret, credentials, asked: Some(asked) }
    }

    /// Whether it is from credentials, and not an anonymous token.
    pub(super) fn is_of_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub(super) fn header(&self) -> HeaderValue {
        header(self.scheme, &self.secret)
    }
}

impl Asked {
    /// Whether its token is about to expire.
    pub(super) fn is_due(&self) -> bool {
        self.ends.saturating_duration_since(Instant::now()) <= MARGIN
    }

    /// Whether its token has expired.
    pub(super) fn has_ended(&self) -> bool {
        self.ends <= Instant::now()
    }
}

/// Basic credentials for a token server.
pub(super) fn basic(credentials: &Credentials) -> HeaderValue {
    header("Basic", &encode(credentials))
}

fn encode(credentials: &Credentials) -> Secret {
    let text = Zeroizing::new(format!("{}:{}", credentials.user(), credentials.secret().expose()));
    BASE64_STANDARD.encode(text.as_bytes()).into()
}

fn header(scheme: &str, secret: &Secret) -> HeaderValue {
    let text = Zeroizing::new(format!("{scheme} {}", secret.expose()));
    // An honest server sends no text that a header cannot hold. The registry then refuses the empty one.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::basic("me", "canary-secret");
        let authorization = Authorization::of_credentials(&credentials);
        let shown = format!(
            "{credentials:?} {authorization:?} {:?} {:?}",
            basic(&credentials),
            authorization.header()
        );
        assert!(!shown.contains("canary") && !shown.contains("bWU6"), "{shown}");
    }
}
