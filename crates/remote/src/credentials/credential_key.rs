//! The keys that credentials are found by, and the spellings of them in files
//! ([containers-auth.json(5)](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md)).

use std::collections::BTreeMap;

/// A host, and a repository on it. The repository is empty if credentials are for the whole host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CredentialKey {
    pub(crate) host: String,
    pub(crate) repository: String,
}

impl CredentialKey {
    pub(crate) fn new(host: &str, repository: &str) -> Self {
        Self { host: canonical_host(host), repository: repository.to_owned() }
    }

    /// The key of a host alone.
    pub(crate) fn of_host(host: &str) -> Self {
        Self::new(host, "")
    }

    /// The keys in a file that fit, the most specific first: `host/team/demo`, `host/team`, `host`.
    fn keys(&self) -> impl Iterator<Item = String> {
        let whole = match self.repository.as_str() {
            "" => self.host.clone(),
            repository => format!("{}/{repository}", self.host),
        };
        std::iter::successors(Some(whole), |key| key.rsplit_once('/').map(|(parent, _)| parent.to_owned()))
    }
}

/// The value under the most specific key that fits. An exact spelling goes before another one of the same key.
pub(crate) fn best_match<'a, T>(
    map: &'a BTreeMap<String, T>,
    key: &CredentialKey,
) -> Option<(&'a str, &'a T)> {
    key.keys().find_map(|wanted| {
        let alike = || map.iter().find(|(key, _)| normalized(key) == wanted);
        map.get_key_value(&wanted).or_else(alike).map(|(key, value)| (key.as_str(), value))
    })
}

/// A key in one spelling. Docker files addresses as well: `https://index.docker.io/v1/`, of which the host
/// counts; podman files namespaces: `quay.io/team`.
pub(crate) fn normalized(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let path = path.trim_end_matches('/');
    if bare.is_some() || matches!(path, "" | "v1" | "v2") {
        canonical_host(host)
    } else {
        format!("{}/{path}", canonical_host(host))
    }
}

/// Docker Hub has three names, of which references have the first.
pub(crate) fn canonical_host(host: &str) -> String {
    match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_for(keys: &[&str], host: &str, repository: &str) -> Option<String> {
        let map: BTreeMap<_, _> = keys.iter().map(|key| ((*key).to_owned(), *key)).collect();
        best_match(&map, &CredentialKey::new(host, repository)).map(|(key, _)| key.to_owned())
    }

    #[test]
    fn the_longest_key_that_fits_is_taken() {
        let keys = ["quay.io", "quay.io/team", "quay.io/team/demo", "quay.io/te", "other.io"];
        for (repository, key) in [
            ("team/demo", "quay.io/team/demo"),
            ("team/demo/deep", "quay.io/team/demo"),
            ("team/other", "quay.io/team"),
            ("teams/demo", "quay.io"),
            ("", "quay.io"),
        ] {
            assert_eq!(key_for(&keys, "quay.io", repository).as_deref(), Some(key), "{repository}");
        }
        assert_eq!(key_for(&keys[1..], "quay.io", "apart/demo"), None);
    }

    #[test]
    fn a_host_is_found_however_it_is_spelled() {
        for key in
            ["ghcr.io", "https://ghcr.io", "http://ghcr.io/", "https://ghcr.io/v2/", "ghcr.io/v1", "GHCR.io"]
        {
            assert_eq!(key_for(&[key], "ghcr.io", "org/demo").as_deref(), Some(key));
        }
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io/v2"]
        {
            assert_eq!(key_for(&[key], "docker.io", "library/nginx").as_deref(), Some(key));
        }
        for key in ["ghcr.io:443", "evil.ghcr.io", "ghcr.io.evil.com", "https://evil.com/ghcr.io", ""] {
            assert_eq!(key_for(&[key], "ghcr.io", "org/demo"), None, "{key}");
        }
        assert_eq!(key_for(&["https://ghcr.io", "ghcr.io"], "ghcr.io", "x").as_deref(), Some("ghcr.io"));
    }
}
