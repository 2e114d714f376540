//! Credentials for registries, and the files and helpers in which docker, podman and hoist keep them.

mod auth_files;
mod credential_key;
mod docker_config;
mod helper;
mod keychain;
mod login_store;

use std::fmt;

pub(crate) use credential_key::{CredentialKey, best_match, canonical_host};
use hoist_core::Secret;
pub(crate) use keychain::Found;
pub use keychain::Keychain;
pub use login_store::StoredIn;

/// Credentials for one registry. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user: String,
    pub(crate) secret: Secret,
    pub(crate) kind: Kind,
}

/// The kinds of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A user's password, for the registry or its token server.
    Password,
    /// OAuth 2's refresh token: the token server exchanges it for tokens.
    IdentityToken,
    /// A bearer token for the registry itself, which another program has fetched.
    RegistryToken,
}

impl Credentials {
    /// A user's name and password. An access token or a robot account's key may stand in for the password.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), secret: password.into().into(), kind: Kind::Password }
    }

    /// A token that the registry's token server exchanges for others (`identitytoken` in docker's file). Some
    /// registries give one to `docker login`.
    pub fn identity_token(token: impl Into<String>) -> Self {
        Self { user: String::new(), secret: token.into().into(), kind: Kind::IdentityToken }
    }

    /// A token that the registry itself takes (`registrytoken` in docker's file).
    pub fn registry_token(token: impl Into<String>) -> Self {
        Self { user: String::new(), secret: token.into().into(), kind: Kind::RegistryToken }
    }

    /// The user's name; empty for a token that needs none.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The place in which a pull finds the credentials for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundIn {
    /// In the program or its configuration, which go before all stored credentials.
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
