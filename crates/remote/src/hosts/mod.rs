//! The hosts that serve a registry's content: its mirrors in their order, and then the registry itself.
//!
//! They are described in hoist's own configuration, and in directories as containerd and Docker have them
//! (docs/hosts.md).

mod attempts;
mod certs;
mod directories;
mod duration;
mod endpoint;
mod host_config;
mod registry_host;
mod route;
mod toml_file;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hoist_core::{Error, ErrorKind, Reference, RemoteOptions, Result};
use reqwest::Url;

use crate::http::is_loopback;
use crate::tls::TlsFiles;
use directories::Directories;
use host_config::HostConfig;

pub(crate) use endpoint::Endpoint;
pub(crate) use host_config::Capability;
pub(crate) use registry_host::RegistryHost;
pub(crate) use route::Route;

/// The descriptions of hosts, and the hosts that were asked so far.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    directories: Directories,
    /// By registry, as references have it. `None`: the given text is not an address.
    mirrors: HashMap<String, Vec<Option<Url>>>,
    /// The registries that are reached without TLS.
    plain_http: HashSet<String>,
    /// By registry. A host that a file describes twice, as its server and among its hosts, is two: each is reached by
    /// its own description.
    known: Mutex<HashMap<String, Vec<Known>>>,
}

/// A host as it was last described.
#[derive(Debug)]
struct Known {
    url: Url,
    config: HostConfig,
    /// The times at which its certificates were changed.
    changed: Vec<Option<SystemTime>>,
    host: Arc<RegistryHost>,
}

impl Clone for Hosts {
    /// The same descriptions, without the hosts that were asked.
    fn clone(&self) -> Self {
        Self {
            directories: self.directories.clone(),
            mirrors: self.mirrors.clone(),
            plain_http: self.plain_http.clone(),
            known: Mutex::default(),
        }
    }
}

impl Hosts {
    pub(crate) fn new(options: &RemoteOptions) -> Self {
        let parsed =
            |mirrors: &Vec<String>| mirrors.iter().map(|text| toml_file::address(text, false)).collect();
        let mirrors = options.mirrors.iter().map(|(registry, mirrors)| (registry.clone(), parsed(mirrors)));
        Self {
            directories: options.hosts_dir.clone().map_or_else(Directories::default, Directories::only),
            mirrors: mirrors.collect(),
            plain_http: options.plain_http.iter().cloned().collect(),
            known: Mutex::default(),
        }
    }

    /// The directories that describe hosts, whether or not they exist.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        self.directories.paths()
    }

    pub(crate) fn add_plain_http(&mut self, registry: String) {
        self.plain_http.insert(registry);
    }

    /// The hosts to ask for a reference. Their descriptions are read each time, as containerd does; a host whose
    /// description has not changed stays the same one.
    pub(crate) fn route(&self, reference: &Reference) -> Result<Route> {
        let registry = reference.registry();
        let mut configs = self.mirrors_of(registry)?;
        configs.extend(self.configs(registry)?);
        let route = self.route_over(registry, reference.repository(), configs)?;
        self.forget_others(&route);
        Ok(route)
    }

    /// A repository at its registry itself, without mirrors. If its name is empty, the registry alone.
    pub(crate) fn origin(&self, registry: &str, repository: &str) -> Result<Route> {
        let origin = self.configs(registry)?.pop();
        self.route_over(registry, repository, origin.into_iter().collect())
    }

    /// The hosts of a registry in the directories: its mirrors, and last its origin.
    fn configs(&self, registry: &str) -> Result<Vec<HostConfig>> {
        Ok(self.directories.configs(registry)?.unwrap_or_else(|| vec![HostConfig::default()]))
    }

    fn route_over(&self, registry: &str, repository: &str, configs: Vec<HostConfig>) -> Result<Route> {
        let endpoints = configs.into_iter().map(|config| {
            let url = config.url.clone().map_or_else(|| self.own_address(registry, &config), Ok)?;
            Ok(Endpoint::at(self.host(registry, url, config), repository))
        });
        Ok(Route::new(registry, endpoints.collect::<Result<_>>()?))
    }

    fn mirrors_of(&self, registry: &str) -> Result<Vec<HostConfig>> {
        let mirrors = self.mirrors.get(registry).into_iter().flatten();
        let config = |(place, url): (usize, &Option<Url>)| {
            let Some(url) = url else {
                // It is not repeated: it may have a password in it.
                let message = format!("mirror {} of {registry} has no host's address", place + 1);
                return Err(
                    Error::new(ErrorKind::InvalidConfig, message).with_help("write it as https://mirror.lan")
                );
            };
            Ok(HostConfig { url: Some(url.clone()), ..HostConfig::default() })
        };
        mirrors.enumerate().map(config).collect()
    }

    /// The address of a registry itself. One on a loopback name has TLS only if there are certificates for it.
    fn own_address(&self, registry: &str, config: &HostConfig) -> Result<Url> {
        let has_tls = config.tls != TlsFiles::default() && !self.plain_http.contains(registry);
        endpoint::address(registry, !has_tls && self.plain_http_for(registry))
    }

    fn plain_http_for(&self, registry: &str) -> bool {
        is_loopback(registry) || self.plain_http.contains(registry)
    }

    /// The known host with this description, or a new one.
    fn host(&self, registry: &str, url: Url, config: HostConfig) -> Arc<RegistryHost> {
        let changed: Vec<_> = config.tls.paths().map(|path| path.metadata().ok()?.modified().ok()).collect();
        let mut all = self.known();
        let known = all.entry(registry.to_owned()).or_default();
        let is_it = |known: &&Known| known.url == url && known.config == config && known.changed == changed;
        if let Some(known) = known.iter().find(is_it) {
            return known.host.clone();
        }
        let host = Arc::new(RegistryHost::new(registry, url.clone(), config.clone()));
        known.push(Known { url, config, changed, host: host.clone() });
        host
    }

    /// Forgets a registry's hosts that are not on this route: their descriptions have changed.
    fn forget_others(&self, route: &Route) {
        let is_asked = |known: &Known| route.endpoints().iter().any(|e| Arc::ptr_eq(&e.host, &known.host));
        if let Some(known) = self.known().get_mut(&route.registry) {
            known.retain(is_asked);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
