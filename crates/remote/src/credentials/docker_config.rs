//! The format of docker's `config.json`, which podman's `auth.json` shares: who is logged in where.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::account::{Account, by_account, normalized};
use super::{Credentials, Kind};
use crate::secret::Secret;

/// As much of such a file as is about credentials.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DockerConfig {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password`, in base64.
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// What is wrong, in words that have nothing of the file's values in them: any could be a secret.
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

    /// The helper that keeps this account's credentials, if one does: the host's own, or the one for all.
    pub(crate) fn helper(&self, account: &Account) -> Option<&str> {
        let host = Account::of_host(&account.host);
        let own = self.cred_helpers.as_ref().and_then(|helpers| by_account(helpers, &host));
        let name = own.map(|(_, name)| name).or(self.creds_store.as_ref());
        name.map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What the file itself has for this account. Where a helper keeps it, there may be an entry without secrets.
    pub(crate) fn credentials(&self, account: &Account) -> Result<Option<Credentials>, Wrong> {
        let filed = self.auths.as_ref().and_then(|auths| by_account(auths, account));
        match filed {
            Some((key, Some(entry))) => entry.credentials().map_err(|what| format!("{what} of {key:?}")),
            _ => Ok(None),
        }
    }

    /// The keys that this host alone is filed under, however they are spelled.
    pub(crate) fn is_key_of(key: &str, host: &Account) -> bool {
        normalized(key) == host.host
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, Wrong> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        let token = |secret, user, kind| Ok(Some(Credentials { user, secret, kind }));
        if let Some(secret) = given(&self.registrytoken) {
            return token(secret, String::new(), Kind::RegistryToken);
        }
        let (user, password) = match given(&self.auth) {
            Some(auth) => decode(&auth).ok_or("the `auth`")?,
            None => (self.username.clone().unwrap_or_default(), self.password.clone().unwrap_or_default()),
        };
        if let Some(secret) = given(&self.identitytoken) {
            return token(secret, user, Kind::IdentityToken);
        }
        if user.is_empty() && password.is_empty() {
            return Ok(None);
        }
        token(password, user, Kind::Password)
    }
}

/// `user:password`, where the password may have more colons, and some have written NULs behind it.
fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(auth.expose().trim()).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned().into()))
}

/// Where a text is no longer what it should be. The parser's own words can quote it.
fn place(error: &serde_json::Error) -> Wrong {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
#[path = "docker_config/tests.rs"]
mod tests;
