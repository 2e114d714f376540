//! The token server that a registry names: checks that it may be asked, and chooses the scope.

use hoist_core::{Error, ErrorKind, Result};
use reqwest::Url;

use super::challenge::Challenge;
use crate::hosts::Endpoint;
use crate::http::is_loopback;

const MAX_SCOPES: usize = 4; // an honest registry asks for one

/// The token server's address: absolute, or relative to the registry's.
///
/// The credentials go there, so it must not be less safe than the registry itself: no http where the
/// registry has TLS, and no other machine by its bare address (CVE-2026-48978, CVE-2026-33990). The address that
/// its name leads to is checked when it is connected to.
pub(super) fn realm(endpoint: &Endpoint, challenge: &Challenge) -> Result<Url> {
    let origin = endpoint.origin();
    let text = challenge.parameters.get("realm").filter(|text| !text.is_empty());
    let realm = text.and_then(|text| origin.join(text).ok());
    let mut realm = realm.ok_or_else(|| refused(endpoint, "has no valid address"))?;
    // A name and a password in the address would replace the user's own.
    if realm.set_username("").is_err() || realm.set_password(None).is_err() {
        return Err(refused(endpoint, "has no valid address"));
    }
    let same_host = realm.host_str() == origin.host_str();
    let local = |url: &Url| url.host_str().is_some_and(is_loopback);
    match realm.scheme() {
        "https" => {}
        "http" if origin.scheme() == "http" && (same_host || (local(&realm) && local(origin))) => {}
        _ => return Err(refused(endpoint, "is not reached over TLS")),
    }
    let by_name = realm.domain().is_some_and(|domain| !domain.is_empty());
    let both_local = local(&realm) && local(origin);
    if !(by_name || same_host || both_local) {
        return Err(refused(endpoint, "is a bare address of another machine"));
    }
    Ok(realm)
}

/// The error for a token server that must not be asked.
pub(super) fn refused(endpoint: &Endpoint, why: &str) -> Error {
    let message = format!("the token server that {} names {why}", endpoint.registry);
    Error::new(ErrorKind::Unauthorized, message)
        .with_help("no credentials were sent; is this registry to be trusted?")
}

/// The scopes of a token: to pull from the repositories that the challenge names, which may have other names than ours,
/// and never for more. Our own comes first, since some servers read only one.
pub(super) fn scopes(endpoint: &Endpoint, challenge: &Challenge) -> Vec<String> {
    let own = format!("repository:{}:pull", endpoint.repository);
    let asked = challenge.parameters.get("scope").map_or("", String::as_str);
    let mut scopes: Vec<_> = asked.split_ascii_whitespace().filter_map(to_pull).take(MAX_SCOPES).collect();
    scopes.sort_by_key(|scope| *scope != own);
    if scopes.is_empty() && !endpoint.repository.is_empty() {
        scopes.push(own);
    }
    scopes
}

/// A scope of the challenge (`repository:org/demo:pull,push`), reduced to pulling. The name may have a port in it.
fn to_pull(scope: &str) -> Option<String> {
    let (repository, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let pulls = actions.split(',').any(|action| matches!(action, "pull" | "*"));
    (pulls && !repository.is_empty()).then(|| format!("repository:{repository}:pull"))
}

#[cfg(test)]
mod tests {
    use hoist_core::RemoteOptions;

    use super::super::challenge;
    use super::*;
    use crate::hosts::Hosts;

    fn endpoint(reference: &str) -> Endpoint {
        let hosts = Hosts::new(&RemoteOptions::default().without_hosts_dirs());
        hosts.route(&reference.parse().unwrap()).unwrap().origin().clone()
    }

    fn challenge(text: &str) -> Challenge {
        challenge::parse(text).remove(0)
    }

    fn realm_of(registry: &str, realm: &str) -> Result<String> {
        let challenge = challenge(&format!("Bearer realm=\"{realm}\""));
        super::realm(&endpoint(&format!("{registry}/x")), &challenge).map(|url| url.to_string())
    }

    #[test]
    fn a_realm_is_as_safe_as_its_registry_or_refused() {
        for (registry, realm) in [
            ("ghcr.io", "https://ghcr.io/token"),
            ("docker.io", "https://auth.docker.io/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("10.0.0.1:5000", "https://10.0.0.1/token"),
        ] {
            assert_eq!(realm_of(registry, realm).unwrap(), realm);
        }
        assert_eq!(realm_of("ghcr.io", "/token").unwrap(), "https://ghcr.io/token");
        assert_eq!(realm_of("ghcr.io", "https://you:x@ghcr.io/token").unwrap(), "https://ghcr.io/token");
        for (registry, realm) in [
            ("ghcr.io", "http://ghcr.io/token"),
            ("ghcr.io", "https://169.254.169.254/token"),
            ("ghcr.io", "https://2852039166/token"), // the same as one number
            ("ghcr.io", "https://[::ffff:169.254.169.254]/token"),
            ("ghcr.io", "https://127.0.0.1/token"),
            ("ghcr.io", "file:///etc/passwd"),
            ("127.0.0.1:5000", "http://169.254.169.254/token"),
            ("127.0.0.1:5000", "http://0.0.0.0:5000/token"),
            ("127.0.0.1:5000", "http://auth.example.com/token"),
        ] {
            let error = realm_of(registry, realm).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unauthorized, "{registry} {realm}");
        }
    }

    #[test]
    fn a_scope_is_for_what_the_challenge_names_and_only_to_pull() {
        let scopes = |scope: &str| {
            let challenge = challenge(&format!("Bearer realm=\"/token\",scope=\"{scope}\""));
            super::scopes(&endpoint("ghcr.io/org/demo"), &challenge)
        };
        let own = "repository:org/demo:pull";
        for (asked, expected) in [
            ("", vec![own]),
            (own, vec![own]),
            ("repository:org/demo:pull,push,delete", vec![own]),
            ("repository:org/demo:*", vec![own]),
            ("repository:proxy/org/demo:pull", vec!["repository:proxy/org/demo:pull"]),
            ("repository:a:5000/demo:pull", vec!["repository:a:5000/demo:pull"]),
            ("repository:other:pull repository:org/demo:push,pull", vec![own, "repository:other:pull"]),
            ("registry:catalog:*", vec![own]),
            ("repository:org/demo:push", vec![own]),
            ("repository::pull nonsense : :::", vec![own]),
        ] {
            assert_eq!(scopes(asked), expected, "{asked}");
        }
        assert_eq!(scopes(&"repository:x:pull ".repeat(1000)).len(), MAX_SCOPES);
    }
}
