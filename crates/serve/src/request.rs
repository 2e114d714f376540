//! The edge: what a request asks for, in types that cannot be misread.

use axum::http::Uri;
use hoist_core::{Digest, Reference};
use percent_encoding::percent_decode_str;

use crate::failure::Failure;

/// A tag for names that are looked up as repositories only.
const ANY_TAG: &str = "latest";
/// The longest path: a name of 255 characters, a digest, and what is between.
const MAX_PATH: usize = 1024;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Whether this is a registry.
    Api,
    /// A manifest or an index.
    Manifest(Reference),
    /// A blob. Any name will do.
    Blob(Digest),
    Tags {
        /// The name as the request has it.
        name: String,
        repository: Reference,
    },
    Referrers(Digest),
}

/// The query of a request.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) registry: Option<String>,
    pub(crate) count: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) artifact_type: Option<String>,
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let value = Some(value.into_owned());
            match &*key {
                "ns" => query.registry = value,
                "n" => query.count = value,
                "last" => query.last = value,
                "artifactType" => query.artifact_type = value,
                _ => {}
            }
        }
        query
    }
}

impl Asked {
    pub(crate) fn of(uri: &Uri, query: &Query, default_registry: &str) -> Result<Self, Failure> {
        if uri.path().len() > MAX_PATH {
            return Err(Failure::invalid_name("the path is too long"));
        }
        let path = percent_decode_str(uri.path()).decode_utf8();
        let path = path.map_err(|_| Failure::invalid_name("the path is not UTF-8"))?;
        if path == "/v2" || path == "/v2/" {
            return Ok(Self::Api);
        }
        let rest = path.strip_prefix("/v2/").ok_or_else(Failure::not_found)?;
        let name = |path| Name { path, registry: query.registry.as_deref(), default_registry };
        let mut parts = rest.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("list"), Some("tags"), Some(of)) => {
                Ok(Self::Tags { name: of.to_owned(), repository: name(of).with(&format!(":{ANY_TAG}"))? })
            }
            (Some(selector), Some("manifests"), Some(of)) => {
                let by_digest = selector.contains(':');
                let suffix =
                    if by_digest { format!("@{}", digest(selector)?) } else { format!(":{selector}") };
                name(of).with(&suffix).map(Self::Manifest)
            }
            (Some(selector), Some("blobs"), Some(of)) => {
                name(of).with(&format!(":{ANY_TAG}"))?;
                digest(selector).map(Self::Blob)
            }
            (Some(selector), Some("referrers"), Some(of)) => {
                name(of).with(&format!(":{ANY_TAG}"))?;
                digest(selector).map(Self::Referrers)
            }
            _ => Err(Failure::not_found()),
        }
    }
}

fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|_| Failure::invalid_digest())
}

/// A repository as a request has it.
struct Name<'a> {
    path: &'a str,
    /// The registry that the query says.
    registry: Option<&'a str>,
    default_registry: &'a str,
}

impl Name<'_> {
    /// The reference of this repository with a tag or digest.
    fn with(&self, suffix: &str) -> Result<Reference, Failure> {
        let invalid = || Failure::invalid_name("the name is not valid");
        if self.path.contains([':', '@']) {
            return Err(invalid());
        }
        let (registry, name) = match (self.registry, self.path.split_once('/')) {
            (Some(registry), _) => (registry, self.path),
            (None, Some((host, rest))) if host.contains('.') || host == "localhost" => (host, rest),
            (None, _) => (self.default_registry, self.path),
        };
        let reference: Reference = format!("{registry}/{name}{suffix}").parse().map_err(|_| invalid())?;
        let is_hub = matches!(registry, "index.docker.io" | "registry-1.docker.io");
        // Otherwise a part of the registry would be read as one of the repository, or the other way round.
        let is_same = reference.registry() == registry || (is_hub && reference.registry() == "docker.io");
        is_same.then_some(reference).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str) -> Result<Asked, u16> {
        let uri: Uri = uri.parse().unwrap();
        Asked::of(&uri, &Query::of(&uri), "docker.io").map_err(|failure| failure.status().as_u16())
    }

    fn manifest(uri: &str) -> String {
        match asked(uri) {
            Ok(Asked::Manifest(reference)) => reference.to_string(),
            other => panic!("{uri}: {other:?}"),
        }
    }

    #[test]
    fn a_name_is_that_of_the_registry_that_the_request_says() {
        for (uri, expected) in [
            ("/v2/library/nginx/manifests/v1", "docker.io/library/nginx:v1"),
            ("/v2/nginx/manifests/v1", "docker.io/library/nginx:v1"),
            ("/v2/org/app/manifests/v1?ns=ghcr.io", "ghcr.io/org/app:v1"),
            ("/v2/app/manifests/v1?ns=registry.lan:5000", "registry.lan:5000/app:v1"),
            ("/v2/app/manifests/v1?ns=127.0.0.1%3A5000", "127.0.0.1:5000/app:v1"),
            ("/v2/ghcr.io/org/app/manifests/v1", "ghcr.io/org/app:v1"),
            ("/v2/ghcr.io/org/app/manifests/v1?ns=quay.io", "quay.io/ghcr.io/org/app:v1"),
            ("/v2/manifests/manifests/v1", "docker.io/library/manifests:v1"),
        ] {
            assert_eq!(manifest(uri), expected);
        }
        assert_eq!(asked("/v2/"), Ok(Asked::Api));
        assert_eq!(asked("/v2"), Ok(Asked::Api));
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        let digest = Digest::sha256(b"");
        for uri in [
            format!("/v2/../../../etc/passwd/blobs/{digest}"),
            format!("/v2/%2e%2e/%2e%2e/blobs/{digest}"),
            format!("/v2/a/../b/blobs/{digest}"),
            format!("/v2/A/blobs/{digest}"),
            format!("/v2//a/blobs/{digest}"),
            format!("/v2/a//blobs/{digest}"),
            format!("/v2/a%00/blobs/{digest}"),
            format!("/v2/_tag/blobs/{digest}"),
            format!("/v2/a:b/blobs/{digest}"),
            format!("/v2/a@b/blobs/{digest}"),
            format!("/v2/{}/blobs/{digest}", "a".repeat(300)),
            format!("/v2/{}/blobs/{digest}", "a/".repeat(600)),
            "/v2/a/manifests/..".to_owned(),
            "/v2/a/manifests/.hidden".to_owned(),
            "/v2/a/manifests/b?ns=../..".to_owned(),
            "/v2/a/manifests/b?ns=".to_owned(),
            "/v2/a/manifests/b?ns=ghcr.io/org".to_owned(),
            "/v2/a/manifests/b?ns=org".to_owned(),
            "/v2/a/blobs/sha256:../../etc/passwd".to_owned(),
            "/v2/a/blobs/sha256:..".to_owned(),
            "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            "/v2/a/manifests/sha256:zz".to_owned(),
            format!("/v2/a/referrers/{}", "0".repeat(64)),
        ] {
            let refused = asked(&uri).expect_err(&uri);
            assert!((400..=404).contains(&refused), "{uri}: {refused}");
        }
        for unknown in ["/", "/v1/", "/v2/_catalog", "/v2/a", "/v2/a/uploads/b", "/etc/passwd"] {
            assert_eq!(asked(unknown), Err(404), "{unknown}");
        }
    }
}
