//! The hosts to ask for what a registry has: its mirrors, in their order, and then itself.
//!
//! They come from hoist's own configuration, and from directories as containerd and Docker have them
//! (docs/hosts.md).

mod attempts;
mod certs;
mod directories;
mod duration;
mod entry;
mod route;
mod site;
mod toml_file;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hoist_core::{Error, ErrorKind, Reference, Result};
use reqwest::Url;

use crate::endpoint::{self, Endpoint};
use crate::http::is_loopback;
use crate::tls::TlsFiles;
use directories::Directories;
use entry::Entry;

pub(crate) use attempts::Need;
pub(crate) use route::Route;
pub(crate) use site::Site;

/// What is said of hosts, and what was learnt of them.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    directories: Directories,
    /// By registry, as references have it. `None`: what was given is no address.
    mirrors: HashMap<String, Vec<Option<Url>>>,
    /// The registries that are spoken to without TLS.
    plain_http: HashSet<String>,
    /// The hosts that were asked so far, by registry. One that a file has twice, as its server and among the others,
    /// is two, which are reached as each is described.
    sites: Mutex<HashMap<String, Vec<Known>>>,
}

/// A host as it was last described.
#[derive(Debug)]
struct Known {
    url: Url,
    entry: Entry,
    /// When its certificates were changed.
    changed: Vec<Option<SystemTime>>,
    site: Arc<Site>,
}

impl Clone for Hosts {
    /// What is said of hosts, and nothing of what was learnt of them.
    fn clone(&self) -> Self {
        Self {
            directories: self.directories.clone(),
            mirrors: self.mirrors.clone(),
            plain_http: self.plain_http.clone(),
            sites: Mutex::default(),
        }
    }
}

impl Hosts {
    pub(crate) fn add_directory(&mut self, path: PathBuf) {
        self.directories.add(path);
    }

    pub(crate) fn ignore_directories(&mut self) {
        self.directories.clear();
    }

    pub(crate) fn add_mirror(&mut self, registry: String, address: &str) {
        self.mirrors.entry(registry).or_default().push(toml_file::address(address, false));
    }

    pub(crate) fn add_plain_http(&mut self, registry: String) {
        self.plain_http.insert(registry);
    }

    /// The hosts to ask for a reference. What is said of them is read anew each time, as containerd does; those
    /// that are described as before are the same as before.
    pub(crate) fn route(&self, reference: &Reference) -> Result<Route> {
        let registry = reference.registry();
        let mut entries = self.mirrors_of(registry)?;
        entries.extend(self.entries(registry)?);
        let route = self.route_over(registry, reference.repository(), entries)?;
        self.forget_others(&route);
        Ok(route)
    }

    /// A repository at its registry itself, with no mirror; where its name is empty, the registry alone.
    pub(crate) fn origin(&self, registry: &str, repository: &str) -> Result<Route> {
        let origin = self.entries(registry)?.pop();
        self.route_over(registry, repository, origin.into_iter().collect())
    }

    /// What the directories say of a registry: its mirrors, and last its origin.
    fn entries(&self, registry: &str) -> Result<Vec<Entry>> {
        Ok(self.directories.entries(registry)?.unwrap_or_else(|| vec![Entry::default()]))
    }

    fn route_over(&self, registry: &str, repository: &str, entries: Vec<Entry>) -> Result<Route> {
        let endpoints = entries.into_iter().map(|entry| {
            let url = entry.url.clone().map_or_else(|| self.own_address(registry, &entry), Ok)?;
            Ok(Endpoint::at(self.site(registry, url, entry), repository))
        });
        Ok(Route::new(registry, endpoints.collect::<Result<_>>()?))
    }

    fn mirrors_of(&self, registry: &str) -> Result<Vec<Entry>> {
        let mirrors = self.mirrors.get(registry).into_iter().flatten();
        let entry = |(place, url): (usize, &Option<Url>)| {
            let Some(url) = url else {
                // It is not repeated: it may have a password in it.
                let message = format!("mirror {} of {registry} has no host's address", place + 1);
                return Err(
                    Error::new(ErrorKind::InvalidConfig, message).with_help("write it as https://mirror.lan")
                );
            };
            Ok(Entry { url: Some(url.clone()), ..Entry::default() })
        };
        mirrors.enumerate().map(entry).collect()
    }

    /// Where a registry itself is. One on a loopback name has TLS only if there are certificates for it.
    fn own_address(&self, registry: &str, entry: &Entry) -> Result<Url> {
        let has_tls = entry.tls != TlsFiles::default() && !self.plain_http.contains(registry);
        endpoint::address(registry, !has_tls && self.plain_http_for(registry))
    }

    fn plain_http_for(&self, registry: &str) -> bool {
        is_loopback(registry) || self.plain_http.contains(registry)
    }

    /// What is known of a host; anew, where it is not described as before.
    fn site(&self, registry: &str, url: Url, entry: Entry) -> Arc<Site> {
        let changed: Vec<_> = entry.tls.paths().map(|path| path.metadata().ok()?.modified().ok()).collect();
        let mut sites = self.sites();
        let known = sites.entry(registry.to_owned()).or_default();
        let is_it = |known: &&Known| known.url == url && known.entry == entry && known.changed == changed;
        if let Some(known) = known.iter().find(is_it) {
            return known.site.clone();
        }
        let site = Arc::new(Site::new(registry, url.clone(), entry.clone()));
        known.push(Known { url, entry, changed, site: site.clone() });
        site
    }

    /// Forgets what a registry's hosts were before they were described like this.
    fn forget_others(&self, route: &Route) {
        let is_asked = |known: &Known| route.endpoints().iter().any(|e| Arc::ptr_eq(&e.site, &known.site));
        if let Some(known) = self.sites().get_mut(&route.registry) {
            known.retain(is_asked);
        }
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<String, Vec<Known>>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
