//! The format of docker's `config.json`, which podman's `auth.json` shares: the credentials for each registry.

mod json;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::credential_key::{CredentialKey, best_match, normalized};
use hoist_core::{CredentialKind, Credentials, Secret};

pub(super) use json::{Json, is_key, without_mark};

/// The parts of such a file that are about credentials. A part that cannot be read is an error for those who need it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DockerConfig {
    auths: Part<BTreeMap<String, Json>>,
    cred_helpers: Part<BTreeMap<String, Json>>,
    creds_store: Part<Secret>,
}

/// A part of a file, or its name where it has another type than it should.
type Part<T> = Result<T, Wrong>;

/// The place of a mistake in a file, in words that quote none of its values: any could be a secret.
pub(crate) type Wrong = String;

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            auths: Ok(BTreeMap::new()),
            cred_helpers: Ok(BTreeMap::new()),
            creds_store: Ok(Secret::default()),
        }
    }
}

impl DockerConfig {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Wrong> {
        let mut members = document(text)?;
        let mut take = |key| Json::take(&mut members, key);
        Ok(Self {
            auths: map(take("auths"), "`auths`"),
            cred_helpers: map(take("credHelpers"), "`credHelpers`"),
            creds_store: take("credsStore").text().map_err(|_| "`credsStore`".to_owned()),
        })
    }

    /// The format before there were `auths`: `.dockercfg`.
    pub(crate) fn parse_legacy(text: &[u8]) -> Result<Self, Wrong> {
        Ok(Self { auths: Ok(document(text)?.into_iter().collect()), ..Self::default() })
    }

    /// The helper that keeps the credentials for this key, if there is one: the host's own, or the one for all hosts.
    pub(crate) fn helper(&self, key: &CredentialKey) -> Result<Option<String>, Wrong> {
        let helpers = self.cred_helpers.as_ref().map_err(Clone::clone)?;
        let own = best_match(helpers, &CredentialKey::of_host(&key.host));
        let name = match own {
            Some((host, name)) => name.clone().text().map_err(|_| format!("`credHelpers` of {host:?}"))?,
            None => self.creds_store.clone()?,
        };
        Ok(Some(name.expose().to_owned()).filter(|name| !name.is_empty()))
    }

    /// The credentials in the file itself. Where a helper keeps them, the file may have an entry without secrets.
    pub(crate) fn credentials(&self, key: &CredentialKey) -> Result<Option<Credentials>, Wrong> {
        match best_match(self.auths.as_ref().map_err(Clone::clone)?, key) {
            Some((key, entry)) => credentials(entry.clone()).map_err(|what| format!("{what} of {key:?}")),
            None => Ok(None),
        }
    }

    /// Whether this key is one for the host alone, in any spelling.
    pub(crate) fn is_key_of(key: &str, host: &CredentialKey) -> bool {
        normalized(key) == host.host
    }
}

/// The members of a file's one object.
fn document(text: &[u8]) -> Result<Vec<(String, Json)>, Wrong> {
    let document = Json::parse(text).map_err(|cause| match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "its encoding, UTF-16,".to_owned(),
        _ => place(&cause),
    })?;
    document.members().map_err(|_| "line 1, which begins no object,".to_owned())
}

fn map(value: Json, name: &str) -> Part<BTreeMap<String, Json>> {
    value.members().map(BTreeMap::from_iter).map_err(|_| name.to_owned())
}

/// The credentials in an entry of `auths`: `auth` is `user:password`, in base64.
fn credentials(entry: Json) -> Result<Option<Credentials>, Wrong> {
    let mut members = entry.members().map_err(|_| "the entry")?;
    let mut take = |key| Json::take(&mut members, key).text().map_err(|_| format!("the `{key}`"));
    let found = |kind, user: &str, secret| Ok(Some(Credentials::new(kind, user, secret)));
    let token = take("registrytoken")?;
    if !token.is_empty() {
        return found(CredentialKind::RegistryToken, "", token);
    }
    let auth = take("auth")?;
    let (user, password) = if auth.is_empty() {
        (take("username")?.expose().to_owned(), take("password")?)
    } else {
        decode(&auth).ok_or("the `auth`")?
    };
    let token = take("identitytoken")?;
    if !token.is_empty() {
        return found(CredentialKind::IdentityToken, &user, token);
    }
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    found(CredentialKind::Password, &user, password)
}

/// `user:password`. The password may have more colons, and some programs pad it with NULs. Others break the line of
/// base64, which Go's decoder passes over.
fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let text: Zeroizing<String> =
        auth.expose().chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>().into();
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.as_bytes()).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((user.to_owned(), password.trim_matches('\0').to_owned().into()))
}

/// The place at which the parser gave up. The parser's own words could quote a secret.
fn place(error: &serde_json::Error) -> Wrong {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
