//! What a registry is shown to prove who asks, and the places where users keep it.

mod account;
mod docker_config;
mod edit;
mod helper;
mod keychain;
mod places;

use std::fmt;

use crate::secret::Secret;

pub(crate) use account::{Account, by_account, canonical_host};
pub use edit::StoredIn;
pub(crate) use keychain::Found;
pub use keychain::Keychain;

/// Credentials for one registry. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user: String,
    pub(crate) secret: Secret,
    pub(crate) kind: Kind,
}

/// What the secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A user's password: shown as it is, or to the token server.
    Password,
    /// For the token server only, which gives tokens for it: OAuth 2's refresh token.
    IdentityToken,
    /// For the registry itself: a bearer token that somebody else has fetched.
    RegistryToken,
}

impl Credentials {
    /// A user's name and password, or what stands in for it: an access token, a robot account's key.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), secret: password.into().into(), kind: Kind::Password }
    }

    /// A token that the registry's token server takes for a user's consent, as `docker login` is given one by
    /// some (`identitytoken` in its file).
    pub fn identity_token(token: impl Into<String>) -> Self {
        Self { user: String::new(), secret: token.into().into(), kind: Kind::IdentityToken }
    }

    /// A token that the registry itself takes (`registrytoken` in docker's file).
    pub fn registry_token(token: impl Into<String>) -> Self {
        Self { user: String::new(), secret: token.into().into(), kind: Kind::RegistryToken }
    }

    /// The user's name; empty where a token alone says who asks.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where the credentials for a registry are found that a pull shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundIn {
    /// What the program or its configuration says, which goes before all that is stored.
    Given,
    /// In this file, in the variable of this name, or with this credential helper.
    Keychain(String),
}

impl fmt::Display for FoundIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("what was given"),
            Self::Keychain(place) => f.write_str(place),
        }
    }
}
