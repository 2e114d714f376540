//! What is shown to a registry: an `Authorization`, and how it came about.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::token::Token;
use crate::challenge::Challenge;
use crate::credentials::{Credentials, Kind, Secret};

/// A token is replaced when it is good for no longer than this: it has to last until it is looked at.
const MARGIN: Duration = Duration::from_secs(10);

/// Something that a registry took, or may take.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    scheme: &'static str,
    secret: Secret,
    /// The credentials behind it; none where anybody gets such a token.
    pub(super) credentials: Option<Credentials>,
    /// How a token was asked for; none where there is no token to be had.
    pub(super) asked: Option<Asked>,
}

/// What a token was an answer to.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) challenge: Challenge,
    pub(super) registry_at: Option<SocketAddr>,
    ends: Instant,
}

impl Proof {
    /// Basic credentials, or a token that the user has.
    pub(super) fn of_credentials(credentials: &Credentials) -> Self {
        let (scheme, secret) = match credentials.kind {
            Kind::RegistryToken => ("Bearer", credentials.secret.clone()),
            Kind::Password | Kind::IdentityToken => ("Basic", encode(credentials)),
        };
        Self { scheme, secret, credentials: Some(credentials.clone()), asked: None }
    }

    /// A token, which was given for this.
    pub(super) fn of_token(
        token: Token,
        credentials: Option<Credentials>,
        challenge: Challenge,
        registry_at: Option<SocketAddr>,
    ) -> Self {
        let asked = Asked { challenge, registry_at, ends: Instant::now() + token.lifetime };
        Self { scheme: "Bearer", secret: token.secret, credentials, asked: Some(asked) }
    }

    pub(super) fn header(&self) -> HeaderValue {
        header(self.scheme, &self.secret)
    }
}

impl Asked {
    /// Whether its token is about to end.
    pub(super) fn is_due(&self) -> bool {
        self.ends.saturating_duration_since(Instant::now()) <= MARGIN
    }

    /// Whether its token has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ends <= Instant::now()
    }
}

/// Credentials as a token server is shown them.
pub(super) fn basic(credentials: &Credentials) -> HeaderValue {
    header("Basic", &encode(credentials))
}

fn encode(Credentials { user, secret, .. }: &Credentials) -> Secret {
    let text = Zeroizing::new(format!("{user}:{}", secret.expose()));
    BASE64_STANDARD.encode(text.as_bytes()).into()
}

fn header(scheme: &str, secret: &Secret) -> HeaderValue {
    let text = Zeroizing::new(format!("{scheme} {}", secret.expose()));
    // What cannot stand in a header cannot have come from an honest server; it is then refused as empty.
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
        let proof = Proof::of_credentials(&credentials);
        let shown = format!("{credentials:?} {proof:?} {:?} {:?}", basic(&credentials), proof.header());
        assert!(!shown.contains("canary") && !shown.contains("bWU6"), "{shown}");
    }
}
