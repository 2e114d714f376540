//! The credentials for one registry.

use std::fmt;

use crate::Secret;

/// Credentials for one registry. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Deserialize), serde(from = "Basic"))]
pub struct Credentials {
    user: String,
    secret: Secret,
    kind: CredentialKind,
}

/// The kinds of secret. Exhaustive on purpose: code that sends or stores credentials has to treat each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A user's password, for the registry or its token server.
    Password,
    /// OAuth 2's refresh token: the token server exchanges it for tokens.
    IdentityToken,
    /// A bearer token for the registry itself, which another program has fetched.
    RegistryToken,
}

impl Credentials {
    /// A user's name and password. An access token or a robot account's key may stand in for the password.
    pub fn basic(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::new(CredentialKind::Password, user, password)
    }

    /// A token that the registry's token server exchanges for others (`identitytoken` in docker's file). Some
    /// registries give one to `docker login`.
    pub fn identity_token(token: impl Into<Secret>) -> Self {
        Self::new(CredentialKind::IdentityToken, "", token)
    }

    /// A token that the registry itself takes (`registrytoken` in docker's file).
    pub fn registry_token(token: impl Into<Secret>) -> Self {
        Self::new(CredentialKind::RegistryToken, "", token)
    }

    /// A secret of this kind. The user's name may be empty for a token.
    pub fn new(kind: CredentialKind, user: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { user: user.into(), secret: secret.into(), kind }
    }

    /// The user's name; empty for a token that needs none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password or token.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The kind of the secret.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Credentials as a configuration has them.
#[cfg(feature = "config")]
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Basic {
    username: String,
    password: Secret,
}

#[cfg(feature = "config")]
impl From<Basic> for Credentials {
    fn from(basic: Basic) -> Self {
        Self::basic(basic.username, basic.password)
    }
}
