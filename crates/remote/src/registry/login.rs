//! Logs in to a registry: checks credentials there, and then stores them for docker, podman and hoist.

use std::sync::Arc;

use hoist_core::{Credentials, Error, ErrorKind, Reference, Result};
use hoist_store::owned;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::RemoteRegistry;
use crate::auth::Auth;
use crate::client::{Client, SharedClient};
use crate::credentials::{CredentialKey, FoundIn, Keychain, StoredIn, canonical_host};
use crate::hosts::{Capability, Endpoint, Hosts};

/// Stores credentials in a [`Keychain`], and removes them.
#[derive(Debug, Clone)]
pub struct Login {
    keychain: Keychain,
    hosts: Arc<Hosts>,
    client: SharedClient,
}

impl Login {
    /// Logs in to registries with this keychain.
    pub fn new(keychain: Keychain) -> Self {
        let mut client = SharedClient::new();
        client.auth.search(keychain.clone());
        Self { keychain, hosts: Arc::default(), client }
    }

    /// Reaches registries as this one does, with its hosts, time limits and retries, and looks for credentials in the
    /// same [places](Self::source).
    #[must_use]
    pub fn with_registry(self, registry: &RemoteRegistry) -> Self {
        Self { hosts: registry.hosts.clone(), client: registry.client.clone(), ..self }
    }

    /// Uses plain http for the registry of this name, as for those on loopback names.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.hosts).add_plain_http(registry.into());
        self
    }

    /// Checks the credentials with the registry (`ghcr.io`, `registry.lan:5000`), and stores them in place of earlier
    /// ones. Returns the place.
    ///
    /// They go to `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, or to the file that `REGISTRY_AUTH_FILE`
    /// names; or to the credential helper that this file names. The rest of the file stays, and only its owner can
    /// read it.
    ///
    /// Fails with [`Unauthorized`](ErrorKind::Unauthorized) or [`Forbidden`](ErrorKind::Forbidden) if the registry
    /// refuses them, with [`InvalidReference`](ErrorKind::InvalidReference) if the name is not a registry's, and with
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if the file cannot be read or written. Then nothing is stored.
    pub async fn login(&self, registry: &str, credentials: &Credentials) -> Result<StoredIn> {
        let (this, registry, credentials) = (self.clone(), name(registry)?, credentials.clone());
        owned(async move {
            let failed = |error: Error| error.context(format!("cannot log in to {registry}"));
            this.check(&registry, &credentials).await.map_err(failed)?;
            let key = CredentialKey::of_host(&registry);
            let stored = this.keychain.store(&key, &credentials).await.map_err(failed)?;
            this.client.auth.forget();
            Ok(stored)
        })
        .await
    }

    /// Removes the credentials that [`login`](Self::login) has stored. `false`: there were none.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference) and [`InvalidConfig`](ErrorKind::InvalidConfig) as
    /// [`login`](Self::login) does.
    pub async fn logout(&self, registry: &str) -> Result<bool> {
        let (this, registry) = (self.clone(), name(registry)?);
        owned(async move {
            let erased = this.keychain.erase(&CredentialKey::of_host(&registry)).await;
            this.client.auth.forget();
            erased.map_err(|error| error.context(format!("cannot log out of {registry}")))
        })
        .await
    }

    /// The place in which a pull would now find credentials for this registry: after a logout, say, a file that another
    /// program wrote. `None`: there is none. Fails with [`InvalidReference`](ErrorKind::InvalidReference).
    pub async fn source(&self, registry: &str) -> Result<Option<FoundIn>> {
        let (this, key) = (self.clone(), CredentialKey::of_host(&name(registry)?));
        owned(async move { Ok(this.client.auth.source(&key).await) }).await
    }

    /// Asks the registry, which has to accept these credentials; anonymous access is not enough.
    async fn check(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let route = self.hosts.origin(registry, "")?;
        let mut client = Client::clone(&self.client);
        client.auth = Auth::insisting(registry, credentials);
        let request = (Method::GET, &HeaderMap::new());
        let answer = client.ask(&route, Capability::Pull, request, Endpoint::ping, |_, _| Ok(())).await;
        answer.map_err(|error| match error.kind() {
            // `NotFound` is about images.
            ErrorKind::NotFound => {
                Error::new(ErrorKind::Unsupported, error).with_help("is this the address of a registry?")
            }
            _ => error,
        })
    }
}

/// A registry's name as in references. It may be written as an address.
pub(super) fn name(registry: &str) -> Result<String> {
    let bare = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://"));
    let host = bare.unwrap_or(registry).trim_end_matches('/');
    let host = canonical_host(host.strip_suffix("/v1").or_else(|| host.strip_suffix("/v2")).unwrap_or(host));
    let parsed = format!("{host}/x/x").parse::<Reference>();
    if parsed.is_ok_and(|reference| reference.registry() == host) {
        return Ok(host);
    }
    Err(Error::new(ErrorKind::InvalidReference, format!("{registry:?} is not a registry"))
        .with_help("write it as host or host:port, such as ghcr.io or registry.lan:5000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_its_address_too() {
        for (given, expected) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/", "ghcr.io"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("[::1]:5000", "[::1]:5000"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(name(given).unwrap(), expected);
        }
        for given in ["", "nginx", "ghcr.io/org", "https://", "a b", "../x", "ghcr.io@sha256", "-"] {
            assert_eq!(*name(given).unwrap_err().kind(), ErrorKind::InvalidReference, "{given:?}");
        }
    }
}
