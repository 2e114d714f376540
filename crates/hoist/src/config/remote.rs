//! The keys of `[remote]`.

use std::str::FromStr;

use hoist_core::{Error, RemoteOptions, Result};

use super::values::unreadable;
use super::{Config, invalid};

/// `[remote]`: registries that are reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// Whether registries are asked at all; by default they are, if the feature `remote` is compiled in and
    /// [`Config::offline`] is not set.
    pub enabled: Option<bool>,
    /// The client that asks registries: `"hoist"`, the default, or `"oci-client"`, which has no credentials and none of
    /// the other options here but [`plain_http`](RemoteOptions::plain_http).
    pub client: Option<RemoteClient>,
    /// Whether credentials that are not in this configuration are looked up in those that `docker login`,
    /// `podman login` and `hoist login` stored; by default they are.
    pub keychain: Option<bool>,
    /// All other keys: the options of the backend.
    pub options: RemoteOptions,
}

/// A client that asks registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RemoteClient {
    /// hoist's own, which has all options of `[remote]`.
    #[default]
    Hoist,
    /// The crate `oci-client`, for a second opinion. It needs the feature `distribution`.
    OciClient,
}

impl FromStr for RemoteClient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "hoist" => Ok(Self::Hoist),
            "oci-client" => Ok(Self::OciClient),
            _ => Err(unreadable(text, "a client", "\"hoist\" or \"oci-client\"")),
        }
    }
}

impl RemoteConfig {
    /// Fails where an option has a value that cannot be, or the other client is to do something that it cannot do.
    pub(super) fn check(&self) -> Result<()> {
        self.options.check()?;
        let keychain = (self.keychain == Some(true)).then_some("keychain");
        let mut keys = self.options.keys().filter(|key| *key != "plain-http").chain(keychain);
        match keys.next() {
            Some(key) if self.client == Some(RemoteClient::OciClient) => {
                Err(invalid(format!("`remote.client` is \"oci-client\", which cannot do `remote.{key}`"))
                    .with_help("leave one of them out"))
            }
            _ => Ok(()),
        }
    }

    /// The client that asks registries.
    pub(crate) fn client(&self) -> RemoteClient {
        self.client.unwrap_or_default()
    }
}

impl Config {
    /// Whether registries are asked.
    pub fn asks_registries(&self) -> bool {
        let by_default = cfg!(feature = "remote") || self.remote.client() == RemoteClient::OciClient;
        !self.offline && self.remote.enabled.unwrap_or(by_default)
    }

    /// Asks registries.
    pub fn with_remote(mut self) -> Self {
        self.remote.enabled = Some(true);
        self
    }

    /// Asks no registry.
    pub fn without_remote(mut self) -> Self {
        self.remote.enabled = Some(false);
        self
    }

    /// Asks registries through this client.
    pub fn with_client(mut self, client: RemoteClient) -> Self {
        self.remote.client = Some(client);
        self
    }

    /// Does not look up credentials that the user has stored.
    pub fn without_keychain(mut self) -> Self {
        self.remote.keychain = Some(false);
        self
    }

    /// Changes the options for registries over HTTP.
    ///
    /// ```
    /// use hoist::{Config, Credentials};
    ///
    /// let config = Config::default().with_remote_options(|options| {
    ///     options.with_retries(2).with_credentials("ghcr.io", Credentials::basic("jo", "..."))
    /// });
    /// assert_eq!(config.remote.options.retries, Some(2));
    /// ```
    pub fn with_remote_options(mut self, change: impl FnOnce(RemoteOptions) -> RemoteOptions) -> Self {
        self.remote.options = change(self.remote.options);
        self
    }
}
