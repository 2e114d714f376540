//! The JSON documents that describe an image: manifests, indexes, and the descriptors in them.
//!
//! They are read, never written again: what has a digest is kept as the bytes that were hashed.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

/// The largest manifest or index that is read, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20; // what registries must accept, per the distribution spec ("Pushing Manifests")

/// The media types of the documents that hoist reads.
pub mod media_type {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of an OCI image.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The configuration of a Docker image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// All manifests and indexes: what a registry is told that we accept.
    pub const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
}

/// What names a piece of content: its type, digest and size
/// ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The platform it is made for; only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Arbitrary notes; the reference's name stands in one of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of these bytes, hashed with SHA-256.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) or
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) unless these bytes are the ones described.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        self.expect_size(bytes.len() as u64)?;
        self.digest.verify(bytes)
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) unless the content has `found` bytes.
    pub fn expect_size(&self, found: u64) -> Result<()> {
        if found == self.size {
            return Ok(());
        }
        let Self { digest, size, .. } = self;
        Err(Error::new(
            ErrorKind::SizeMismatch,
            format!("{digest} should have {size} bytes, and has {found}"),
        ))
    }
}

/// A document that a reference can lead to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Document {
    /// The manifest of one image.
    Manifest(Manifest),
    /// A list of images for several platforms.
    Index(Index),
}

/// An image's manifest: an OCI one, or Docker's schema 2, which has the same shape.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What the document is; one of [`media_type`]'s.
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// Whether this is an image that runs somewhere, and whose configuration says where; not an artifact.
    pub fn is_runnable(&self) -> bool {
        matches!(&*self.config.media_type, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG)
    }

    /// The configuration and the layers, each content once, in this order. One that is listed with two
    /// sizes comes with both, so that the wrong one is found.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        std::iter::once(&self.config)
            .chain(&self.layers)
            .filter(move |blob| seen.insert((&blob.digest, blob.size)))
    }
}

/// An index of images: an OCI one, or Docker's manifest list, which has the same shape.
#[derive(Debug, Clone)]
pub struct Index {
    /// What the document is; one of [`media_type`]'s.
    pub media_type: String,
    /// The images. Entries whose digest is of an unknown algorithm are left out.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The entry that suits this platform best.
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing), which lists what there is. An index of a
    /// single entry without a platform has only that to offer.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        let candidates = self.manifests.iter().filter_map(|entry| Some((entry.platform.as_ref()?, entry)));
        let lone = || match &self.manifests[..] {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        platform.choose(candidates).or_else(lone).ok_or_else(|| {
            platform_missing(platform, self.manifests.iter().filter_map(|m| m.platform.clone()).collect())
        })
    }
}

/// What the image's configuration says that it is made for. `None`: it does not say, as that of an
/// artifact does not.
pub fn config_platform(config: &[u8]) -> Option<Platform> {
    let platform: Platform = serde_json::from_slice(config).ok()?;
    Some(platform).filter(|p| !p.os.is_empty() && !p.architecture.is_empty())
}

pub(crate) fn platform_missing(wanted: &Platform, available: Vec<Platform>) -> Error {
    // Attestations and the like are listed as unknown/unknown; nobody can ask for those.
    let available: Vec<_> = available.into_iter().filter(|p| p.os != "unknown").collect();
    let names: Vec<_> = available.iter().map(ToString::to_string).collect();
    let there_is = if names.is_empty() { "no platform at all".to_owned() } else { names.join(", ") };
    Error::new(
        ErrorKind::PlatformMissing { available },
        format!("the image is not made for {wanted}, but for {there_is}"),
    )
    .with_help("choose one of those with `platform`")
}

impl Platform {
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) if an image with this configuration is
    /// made for another platform.
    pub fn check(&self, config: &[u8]) -> Result<()> {
        match config_platform(config) {
            Some(made_for) if !self.accepts(&made_for) => Err(platform_missing(self, vec![made_for])),
            _ => Ok(()),
        }
    }
}

/// The advice where something else than a manifest was served.
const NO_MANIFEST: &str = "is this the address of a registry?";

/// All fields that tell one document from another; each must be where it belongs and nowhere else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<RawEntry>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

/// An entry whose digest may be of an algorithm from the future; that must not spoil its neighbours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl RawEntry {
    fn read(self) -> Option<Result<Descriptor>> {
        let Self { media_type, digest, size, platform, annotations } = self;
        match digest.parse() {
            Ok(digest) => Some(Ok(Descriptor { media_type, digest, size, platform, annotations })),
            Err(unknown @ Error { .. }) if *unknown.kind() == ErrorKind::Unsupported => None,
            Err(bad) => Some(Err(malformed("an entry of the index has a bad digest").with_source(bad))),
        }
    }
}

impl Document {
    /// Reads a manifest or an index. `content_type` is what the server said that it is, if it did.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where the bytes are neither, are both, or are not what
    /// the server said (CVE-2021-41190); with [`Unsupported`](ErrorKind::Unsupported) where they are of a
    /// format that is not read, such as Docker's schema 1; with [`TooLarge`](ErrorKind::TooLarge) beyond
    /// [`MAX_DOCUMENT`].
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the manifest has more than {MAX_DOCUMENT} bytes"),
            ));
        }
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|cause| malformed("this is neither a manifest nor an index").with_source(cause))
            .map_err(|error| error.with_help(NO_MANIFEST))?;
        let media_type = raw.media_type(content_type)?;
        match raw {
            Raw { fs_layers: Some(_), .. } | Raw { schema_version: Some(1), .. } => Err(unsupported(
                "the manifest is of Docker's schema 1",
                "push the image again with a current tool; schema 1 was withdrawn",
            )),
            Raw { manifests: Some(_), layers: Some(_), .. }
            | Raw { manifests: Some(_), config: Some(_), .. } => {
                Err(malformed("the document claims to be a manifest and an index at once"))
            }
            Raw { manifests: Some(entries), .. } => {
                check_type(&media_type, &[media_type::OCI_INDEX, media_type::DOCKER_LIST])?;
                let manifests = entries.into_iter().filter_map(RawEntry::read).collect::<Result<_>>()?;
                Ok(Self::Index(Index { media_type, manifests }))
            }
            Raw { config: Some(config), layers: Some(layers), .. } => {
                check_type(&media_type, &[media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST])?;
                Ok(Self::Manifest(Manifest { media_type, config, layers }))
            }
            _ => Err(malformed("the document has neither `config` and `layers` nor `manifests`")
                .with_help(NO_MANIFEST)),
        }
    }
}

impl Raw {
    /// What the document is: its own word, which must agree with the server's; else the server's; else its
    /// shape.
    fn media_type(&self, content_type: Option<&str>) -> Result<String> {
        let served = content_type
            .map(|value| value.split(';').next().unwrap_or_default().trim())
            .filter(|value| value.starts_with("application/vnd."));
        match (&self.media_type, served) {
            (Some(own), Some(served)) if own != served => Err(malformed(format!(
                "the document says that it is {own}, and the server that it is {served}"
            ))),
            (Some(own), _) => Ok(own.clone()),
            (None, Some(served)) => Ok(served.to_owned()),
            (None, None) if self.manifests.is_some() => Ok(media_type::OCI_INDEX.to_owned()),
            (None, None) => Ok(media_type::OCI_MANIFEST.to_owned()),
        }
    }
}

fn check_type(found: &str, expected: &[&str]) -> Result<()> {
    if expected.contains(&found) {
        return Ok(());
    }
    if media_type::ACCEPTED.contains(&found) {
        return Err(malformed(format!("the document does not have the shape of its type, {found}")));
    }
    Err(unsupported(
        &format!("the document is of type {found}"),
        "hoist reads OCI and Docker schema 2 images",
    ))
}

fn malformed(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

fn unsupported(message: &str, help: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn entry(digest: &str, platform: &str) -> String {
        format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2{platform}}}"#, media_type::OCI_MANIFEST)
    }

    fn kind(text: &str, content_type: Option<&str>) -> ErrorKind {
        Document::parse(text.as_bytes(), content_type).unwrap_err().kind().clone()
    }

    #[test]
    fn a_document_that_is_two_things_at_once_is_rejected() {
        let e = entry(DIGEST, "");
        let both = format!(r#"{{"schemaVersion":2,"manifests":[{e}],"config":{e},"layers":[]}}"#);
        assert_eq!(kind(&both, None), ErrorKind::Malformed);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{e}]}}"#);
        assert_eq!(kind(&index, Some(media_type::OCI_MANIFEST)), ErrorKind::Malformed);
        let typed = format!(r#"{{"mediaType":"{}","manifests":[{e}]}}"#, media_type::OCI_INDEX);
        assert_eq!(kind(&typed, Some(media_type::DOCKER_LIST)), ErrorKind::Malformed);
    }

    #[test]
    fn a_manifest_served_as_plain_json_is_read_by_its_shape() {
        let e = entry(DIGEST, "");
        let text = format!(r#"{{"schemaVersion":2,"config":{e},"layers":[{e},{e}]}}"#);
        for content_type in [None, Some("application/json"), Some("text/plain; charset=utf-8")] {
            let Document::Manifest(manifest) = Document::parse(text.as_bytes(), content_type).unwrap() else {
                panic!("not a manifest");
            };
            assert_eq!(manifest.media_type, media_type::OCI_MANIFEST);
            assert_eq!(manifest.blobs().count(), 1, "one content, named three times");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        assert_eq!(kind(r#"{"schemaVersion":1,"fsLayers":[]}"#, None), ErrorKind::Unsupported);
        assert_eq!(kind("<html>log in</html>", Some("text/html")), ErrorKind::Malformed);
        assert_eq!(kind("{}", None), ErrorKind::Malformed);
        let huge = vec![b' '; usize::try_from(MAX_DOCUMENT).unwrap() + 1];
        assert_eq!(*Document::parse(&huge, None).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn hostile_digests_and_sizes_are_rejected() {
        let index = format!(r#"{{"manifests":[{}]}}"#, entry("sha256:../../etc/passwd", ""));
        assert_eq!(kind(&index, None), ErrorKind::Malformed);
        let negative = format!(r#"{{"manifests":[{}]}}"#, entry(DIGEST, "").replace(":2}", ":-2}"));
        assert_eq!(kind(&negative, None), ErrorKind::Malformed);
    }

    #[test]
    fn an_entry_with_a_digest_from_the_future_does_not_spoil_the_others() {
        let amd64 = entry(DIGEST, r#","platform":{"os":"linux","architecture":"amd64"}"#);
        let index = format!(r#"{{"manifests":[{},{amd64}]}}"#, entry("blake3:abcd", ""));
        let Document::Index(index) = Document::parse(index.as_bytes(), None).unwrap() else { panic!() };
        assert_eq!(index.choose(&"linux/amd64".parse().unwrap()).unwrap().digest.to_string(), DIGEST);
        let missing = index.choose(&"linux/s390x".parse().unwrap()).unwrap_err();
        let available = vec!["linux/amd64".parse().unwrap()];
        assert_eq!(*missing.kind(), ErrorKind::PlatformMissing { available });
    }

    #[test]
    fn an_image_for_another_platform_is_told_by_its_configuration() {
        let arm64: Platform = "linux/arm64".parse().unwrap();
        assert!(arm64.check(br#"{"os":"linux","architecture":"amd64"}"#).is_err());
        assert!(arm64.check(br#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).is_ok());
        assert!(arm64.check(b"{}").is_ok(), "an artifact has no platform");
    }
}
