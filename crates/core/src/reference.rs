//! References: the names of images, in Docker's conventions.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// The registry of names that do not name one.
const DEFAULT_REGISTRY: &str = "docker.io";
/// A former name of Docker Hub, which is still accepted.
const LEGACY_REGISTRY: &str = "index.docker.io";
/// The namespace of Docker Hub's names without one.
const DEFAULT_NAMESPACE: &str = "library";
/// The tag of references without a tag or digest.
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255; // distribution/reference: RepositoryNameTotalLengthMax
const MAX_TAG: usize = 128; // distribution-spec: a tag is at most 128 characters
const MAX_REGISTRY: usize = 255; // a DNS name has at most 253; it is also one component of a path

/// A parsed, fully-qualified reference: `registry/repository[:tag][@digest]`.
///
/// The grammar and the defaults are those of
/// [distribution/reference](https://github.com/distribution/reference): `nginx` means
/// `docker.io/library/nginx:latest`. A reference has a tag, a digest, or both. If it has both, the digest
/// identifies the image, and the tag is only kept in the name.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    registry: Box<str>,
    repository: Box<str>,
    tag: Option<Box<str>>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host, with the port if one was given: `docker.io`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in that registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given or implied.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, without tag and digest: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The last part of a manifest's URL (`/v2/<name>/manifests/<selector>`): the digest, or else the tag.
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The reference as users of Docker write it, without what Docker adds to a short name: `nginx:latest` for
    /// `docker.io/library/nginx:latest`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/").map(|name| name.strip_prefix("library/").unwrap_or(name));
        // Not `docker.io/localhost/app`, whose short form would name another registry.
        let short = short.filter(|short| short.parse().is_ok_and(|parsed: Self| parsed == *self));
        short.unwrap_or(&full).to_owned()
    }

    /// The same repository with this digest, and without a tag.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Whether the registry is this machine by its name alone: `localhost`, or a loopback address. Clients speak
    /// plain HTTP to such registries.
    ///
    /// ```
    /// # use hoist_core::Reference;
    /// assert!("localhost:5000/app".parse::<Reference>()?.is_on_loopback());
    /// assert!("[::1]:5000/app".parse::<Reference>()?.is_on_loopback());
    /// assert!(!"localhost.example/app".parse::<Reference>()?.is_on_loopback());
    /// # Ok::<(), hoist_core::Error>(())
    /// ```
    pub fn is_on_loopback(&self) -> bool {
        let registry = self.registry();
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => registry,
        };
        let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|ip| ip.is_loopback())
    }

    /// Whether both references name the same repository of the same registry.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            Error::new(ErrorKind::InvalidReference, format!("invalid reference {text:?}: {why}"))
                .with_help("a reference looks like [registry/]repository[:tag][@sha256:...]")
        })
    }
}

/// Parses a reference. An error explains in one clause why it is invalid.
fn parse(text: &str) -> std::result::Result<Reference, String> {
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hexadecimal digits could be an image's id; write name@sha256:<digits>".into());
    }
    if text.contains("://") {
        return Err("a reference has no scheme; remove the part before the registry".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|e: Error| e.to_string())?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(rest);
    check_registry(registry)?;
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let repository = match registry {
        DEFAULT_REGISTRY if !path.contains('/') => format!("{DEFAULT_NAMESPACE}/{path}"),
        _ => path.to_owned(),
    };
    check_repository(path, &repository)?;
    let tag = tag.or((digest.is_none()).then_some(DEFAULT_TAG));
    Ok(Reference {
        registry: registry.into(),
        repository: repository.into(),
        tag: tag.map(Into::into),
        digest,
    })
}

/// Splits off the registry, by Docker's rule: the part before the first `/` is a registry if it has a dot or a
/// colon, is `localhost`, or has an upper-case letter, which is not allowed in a repository.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_REGISTRY, rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> std::result::Result<(), String> {
    if registry.len() > MAX_REGISTRY {
        return Err(format!("the registry's name is longer than {MAX_REGISTRY} characters"));
    }
    let (host, port) = split_port(registry);
    if let Some(port) = port
        && port.parse::<u16>().is_err()
    {
        return Err(format!("{port:?} is not a port"));
    }
    match host.strip_prefix('[').map(|h| h.strip_suffix(']')) {
        // An IPv6 address that ends like an IPv4 address is invalid in distribution's grammar.
        Some(Some(address)) if !address.contains('.') && address.parse::<Ipv6Addr>().is_ok() => Ok(()),
        None if host.split('.').all(is_domain_component) => Ok(()),
        _ => Err(format!("{host:?} is not a host name or address")),
    }
}

/// Splits `host:port`, and leaves the colons of an IPv6 literal alone.
fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_domain_component(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

fn check_repository(path: &str, repository: &str) -> std::result::Result<(), String> {
    if path.is_empty() {
        return Err("it has no repository".into());
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository must be lower case".into());
    }
    if repository.len() > MAX_REPOSITORY {
        return Err(format!("the repository's name is longer than {MAX_REPOSITORY} characters"));
    }
    match repository.split('/').find(|part| !is_path_component(part)) {
        Some(part) => Err(format!("{part:?} cannot be part of a repository's name")),
        None => Ok(()),
    }
}

/// Runs of lower-case letters and digits, separated by one dot, one or two underscores, or any number of
/// dashes.
fn is_path_component(part: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    part.starts_with(is_alphanumeric)
        && part.ends_with(is_alphanumeric)
        && part.split(is_alphanumeric).all(is_separator)
}

fn check_tag(tag: &str) -> std::result::Result<(), String> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if tag.len() > MAX_TAG {
        return Err(format!("the tag is longer than {MAX_TAG} characters"));
    }
    let well_formed = tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-');
    if !well_formed || !tag.bytes().next().is_some_and(is_word) {
        return Err(format!("{tag:?} is not a tag"));
    }
    Ok(())
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
