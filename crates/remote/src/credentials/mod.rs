//! Credentials for registries, and the files and helpers in which docker, podman and hoist keep them.

mod auth_files;
mod credential_key;
mod docker_config;
mod helper;
mod keychain;
mod login_store;

use std::fmt;

pub(crate) use credential_key::{CredentialKey, best_match, canonical_host};
pub(crate) use keychain::Found;
pub use keychain::Keychain;
pub use login_store::StoredIn;

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
