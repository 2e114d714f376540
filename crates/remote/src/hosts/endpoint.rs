//! The addresses of a registry's API: from its name, and for a repository on one host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_core::{Error, ErrorKind, Result};
use reqwest::Url;

use super::registry_host::RegistryHost;

/// The name of Docker Hub, and the host that its API is at.
pub(crate) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A repository's place on one host, for one pull.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The host's name as in references, by which credentials are looked up. A mirror has its own.
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// `https://registry.example.com/v2/org/repo/`.
    base: Url,
    pub(crate) host: Arc<RegistryHost>,
    /// Whether the host was shown credentials in this pull. Clones share it.
    has_shown: Arc<AtomicBool>,
}

impl Endpoint {
    /// A repository on this host. If it is empty, the host alone.
    pub(crate) fn at(host: Arc<RegistryHost>, repository: &str) -> Self {
        let mut base = host.url.clone();
        let slash = if repository.is_empty() { "" } else { "/" };
        base.set_path(&format!("{}/{repository}{slash}", host.url.path().trim_end_matches('/')));
        Self {
            registry: host.name.clone(),
            repository: repository.to_owned(),
            base,
            host,
            has_shown: Arc::default(),
        }
    }

    /// Notes that the host was shown credentials.
    pub(crate) fn has_shown_credentials(&self) {
        self.has_shown.store(true, Ordering::Relaxed);
    }

    /// Whether the host was shown anything in this pull that others may not have: credentials, headers of its file, a
    /// certificate, or a password in its address.
    pub(crate) fn knows_us(&self) -> bool {
        self.has_shown.load(Ordering::Relaxed) || self.host.is_private()
    }

    /// The address of a manifest, by tag or digest.
    pub(crate) fn manifest(&self, selector: &str) -> Url {
        self.join("manifests", selector)
    }

    /// The address of a blob.
    pub(crate) fn blob(&self, digest: &hoist_core::Digest) -> Url {
        self.join("blobs", &digest.to_string())
    }

    /// The address of the list of tags.
    pub(crate) fn tags(&self) -> Url {
        self.join("tags", "list")
    }

    /// The registry's own origin: scheme, host and port.
    pub(crate) fn origin(&self) -> &Url {
        &self.base
    }

    /// The address that tells whether there is a registry, and how to authenticate to it.
    pub(crate) fn ping(&self) -> Url {
        let mut url = self.base.clone();
        let path = self.base.path().strip_suffix(&format!("{}/", self.repository));
        url.set_path(path.filter(|_| !self.repository.is_empty()).unwrap_or(self.base.path()));
        url
    }

    fn join(&self, kind: &str, name: &str) -> Url {
        let mut url = self.base.clone();
        // Tags and digests have no character that a path could misread.
        url.set_path(&format!("{}{kind}/{name}", self.base.path()));
        url
    }
}

/// The address of a registry's own API, by its name.
pub(crate) fn address(registry: &str, plain_http: bool) -> Result<Url> {
    let host = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
    let scheme = if plain_http { "http" } else { "https" };
    format!("{scheme}://{host}/v2").parse().map_err(|cause| {
        Error::new(ErrorKind::InvalidReference, format!("{registry:?} is not a host")).with_source(cause)
    })
}

#[cfg(test)]
mod tests {
    use hoist_core::{Reference, RemoteOptions};

    use super::super::Hosts;
    use super::Endpoint;

    fn endpoint(reference: &str, plain: &[&str]) -> (Reference, Endpoint) {
        let options = RemoteOptions::default().without_hosts_dirs();
        let hosts = Hosts::new(&plain.iter().fold(options, |options, name| options.with_plain_http(*name)));
        let reference: Reference = reference.parse().unwrap();
        let endpoint = hosts.route(&reference).unwrap().origin().clone();
        (reference, endpoint)
    }

    fn url(reference: &str, plain: &[&str]) -> String {
        let (reference, endpoint) = endpoint(reference, plain);
        endpoint.manifest(&reference.selector()).to_string()
    }

    fn name(reference: &str, plain: &[&str]) -> String {
        endpoint(reference, plain).1.registry
    }

    #[test]
    fn a_reference_leads_to_its_registrys_address() {
        for (reference, expected) in [
            ("nginx", "https://registry-1.docker.io/v2/library/nginx/manifests/latest"),
            ("ghcr.io/org/repo:v1", "https://ghcr.io/v2/org/repo/manifests/v1"),
            ("registry.lan:5000/x", "https://registry.lan:5000/v2/x/manifests/latest"),
            ("localhost/x", "http://localhost/v2/x/manifests/latest"),
            ("127.0.0.1:5000/x", "http://127.0.0.1:5000/v2/x/manifests/latest"),
            ("127.9.9.9:5000/x", "http://127.9.9.9:5000/v2/x/manifests/latest"),
            ("[::1]:5000/x", "http://[::1]:5000/v2/x/manifests/latest"),
            ("[2001:db8::1]:5000/x", "https://[2001:db8::1]:5000/v2/x/manifests/latest"),
            ("localhost.example.com/x", "https://localhost.example.com/v2/x/manifests/latest"),
        ] {
            assert_eq!(url(reference, &[]), expected);
        }
        assert_eq!(
            url("registry.lan:5000/x", &["registry.lan:5000"]),
            "http://registry.lan:5000/v2/x/manifests/latest"
        );
    }

    /// A URL leaves that port out, but credentials are looked up by the name as it was written.
    #[test]
    fn a_registry_that_is_named_with_its_schemes_port_is_itself() {
        for (registry, plain, expected) in [
            ("harbor.corp:443", false, "https://harbor.corp/v2/x/manifests/latest"),
            ("harbor.corp:80", true, "http://harbor.corp/v2/x/manifests/latest"),
            ("harbor.corp:80", false, "https://harbor.corp:80/v2/x/manifests/latest"),
            ("127.0.0.1:80", false, "http://127.0.0.1/v2/x/manifests/latest"),
            ("[2001:db8::1]:443", false, "https://[2001:db8::1]/v2/x/manifests/latest"),
            ("HARBOR.corp", false, "https://harbor.corp/v2/x/manifests/latest"),
        ] {
            let plain = if plain { vec![registry] } else { Vec::new() };
            let reference = format!("{registry}/x");
            assert_eq!(url(&reference, &plain), expected);
            assert_eq!(name(&reference, &plain), registry);
        }
    }
}
