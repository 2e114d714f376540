//! The format of docker's `config.json`, which podman's `auth.json` shares: the credentials for each registry.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credential_key::{CredentialKey, best_match, normalized};
use hoist_core::{CredentialKind, Credentials, Secret};

/// The parts of such a file that are about credentials.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DockerConfig {
    auths: Option<BTreeMap<String, Option<AuthConfig>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

/// One registry's part of `auths`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct AuthConfig {
    /// `user:password`, in base64.
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// The place of a mistake in a file, in words that quote none of its values: any could be a secret.
pub(crate) type Wrong = String;

impl DockerConfig {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Wrong> {
        serde_json::from_slice(text).map_err(|cause| place(&cause))
    }

    /// The format before there were `auths`: `.dockercfg`.
    pub(crate) fn parse_legacy(text: &[u8]) -> Result<Self, Wrong> {
        let auths = serde_json::from_slice(text).map_err(|cause| place(&cause))?;
        Ok(Self { auths: Some(auths), ..Self::default() })
    }

    /// The helper that keeps the credentials for this key, if there is one: the host's own, or the one for all hosts.
    pub(crate) fn helper(&self, key: &CredentialKey) -> Option<&str> {
        let host = CredentialKey::of_host(&key.host);
        let own = self.cred_helpers.as_ref().and_then(|helpers| best_match(helpers, &host));
        let name = own.map(|(_, name)| name).or(self.creds_store.as_ref());
        name.map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The credentials in the file itself. Where a helper keeps them, the file may have an entry without secrets.
    pub(crate) fn credentials(&self, key: &CredentialKey) -> Result<Option<Credentials>, Wrong> {
        let filed = self.auths.as_ref().and_then(|auths| best_match(auths, key));
        match filed {
            Some((key, Some(entry))) => entry.credentials().map_err(|what| format!("{what} of {key:?}")),
            _ => Ok(None),
        }
    }

    /// Whether this key is one for the host alone, in any spelling.
    pub(crate) fn is_key_of(key: &str, host: &CredentialKey) -> bool {
        normalized(key) == host.host
    }
}

impl AuthConfig {
    fn credentials(&self) -> Result<Option<Credentials>, Wrong> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        let token = |secret, user, kind| Ok(Some(Credentials::new(kind, user, secret)));
        if let Some(secret) = given(&self.registrytoken) {
            return token(secret, String::new(), CredentialKind::RegistryToken);
        }
        let (user, password) = match given(&self.auth) {
            Some(auth) => decode(&auth).ok_or("the `auth`")?,
            None => (self.username.clone().unwrap_or_default(), self.password.clone().unwrap_or_default()),
        };
        if let Some(secret) = given(&self.identitytoken) {
            return token(secret, user, CredentialKind::IdentityToken);
        }
        if user.is_empty() && password.is_empty() {
            return Ok(None);
        }
        token(password, user, CredentialKind::Password)
    }
}

/// `user:password`. The password may have more colons, and some programs pad it with NULs.
fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(auth.expose().trim()).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned().into()))
}

/// The place at which the parser gave up. The parser's own words could quote a secret.
fn place(error: &serde_json::Error) -> Wrong {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
