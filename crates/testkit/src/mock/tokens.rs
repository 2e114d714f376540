//! How a mocked token server hands tokens out: token servers differ in what they take and in what they say.

use serde_json::{Map, json};

/// The ways of a mocked token server; by default it takes `GET` and `POST`, and says all that it can.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Tokens {
    names: Vec<&'static str>,
    lifetime: Option<u64>,
    identity: Option<String>,
    gives_refresh: bool,
    refuses: Vec<(&'static str, u16)>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            names: vec!["token", "access_token"],
            lifetime: Some(300),
            identity: None,
            gives_refresh: false,
            refuses: Vec::new(),
        }
    }
}

impl Tokens {
    /// Calls the token by this name only: `token` or `access_token`.
    pub fn named(self, name: &'static str) -> Self {
        Self { names: vec![name], ..self }
    }

    /// Says that a token is good for so many seconds, or does not say. They end when they are told to
    /// ([`expire_tokens`](super::MockRegistry::expire_tokens)), whatever was said.
    pub fn with_lifetime(self, lifetime: Option<u64>) -> Self {
        Self { lifetime, ..self }
    }

    /// Gives a token to whoever posts this identity token.
    pub fn with_identity(self, identity: &str) -> Self {
        Self { identity: Some(identity.to_owned()), ..self }
    }

    /// Gives a refresh token with each token.
    pub fn with_refresh_tokens(self) -> Self {
        Self { gives_refresh: true, ..self }
    }

    /// Answers `GET` or `POST` with this status.
    pub fn refusing(mut self, method: &'static str, status: u16) -> Self {
        self.refuses.push((method, status));
        self
    }

    pub(super) fn refuses(&self, method: &str) -> Option<u16> {
        self.refuses.iter().find(|(refused, _)| *refused == method).map(|(_, status)| *status)
    }

    pub(super) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    pub(super) fn gives_refresh(&self) -> bool {
        self.gives_refresh
    }

    /// The answer with this token.
    pub(super) fn document(&self, token: &str, refresh: Option<&str>) -> String {
        let mut document: Map<_, _> =
            self.names.iter().map(|name| ((*name).to_owned(), json!(token))).collect();
        document.extend(self.lifetime.map(|seconds| ("expires_in".to_owned(), json!(seconds))));
        document.extend(refresh.map(|refresh| ("refresh_token".to_owned(), json!(refresh))));
        json!(document).to_string()
    }
}
