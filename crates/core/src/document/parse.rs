//! Reads manifests and indexes from untrusted sources. Each document must be exactly one of the two, and fields
//! must not contradict each other.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{Descriptor, Document, Index, MAX_DOCUMENT, Manifest, media_type};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

/// The advice if a server sent something other than a manifest.
const NO_MANIFEST: &str = "is this the address of a registry?";

/// All fields that distinguish the kinds of documents. Each is allowed only in its own kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<Value>,
    artifact_type: Option<Value>,
    annotations: Option<Value>,
}

/// A descriptor whose digest is not parsed yet. Go writes `null` for empty fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    annotations: Option<BTreeMap<String, String>>,
    urls: Option<Vec<String>>,
}

impl RawDescriptor {
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) if the digest's algorithm cannot be trusted, and with
    /// [`Malformed`](ErrorKind::Malformed) if it is not a digest.
    fn read(self) -> Result<Descriptor> {
        let digest = self.digest.parse().map_err(|cause: Error| {
            let kind = match cause.kind() {
                ErrorKind::Unsupported => ErrorKind::Unsupported,
                _ => ErrorKind::Malformed,
            };
            Error::new(kind, "the document names content by a digest that cannot be checked")
                .with_source(cause)
                .with_help("push the image again with a current tool")
        })?;
        Ok(Descriptor {
            platform: self.platform,
            annotations: self.annotations.unwrap_or_default(),
            urls: self.urls.unwrap_or_default(),
            ..Descriptor::new(self.media_type.unwrap_or_default(), digest, self.size)
        })
    }

    /// The same for an entry of an index. An entry with a future digest algorithm is skipped, so that the other
    /// entries stay usable.
    fn read_entry(self) -> Option<Result<Descriptor>> {
        let unsupported = |error: &Error| *error.kind() == ErrorKind::Unsupported;
        Some(self.read()).filter(|entry| !entry.as_ref().is_err_and(unsupported))
    }
}

impl Document {
    /// Parses a manifest or an index. `content_type` is the server's `Content-Type`, if any.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if the bytes are neither, are both, or contradict
    /// `content_type` (CVE-2021-41190). Fails with [`Unsupported`](ErrorKind::Unsupported) for other formats,
    /// such as Docker's schema 1, and for content that is named by a weak digest, such as MD5. Fails with
    /// [`TooLarge`](ErrorKind::TooLarge) for more than [`MAX_DOCUMENT`] bytes.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            let message = format!("the manifest has more than {MAX_DOCUMENT} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|cause| {
            malformed("this is neither a manifest nor an index").with_source(cause).with_help(NO_MANIFEST)
        })?;
        if raw.fs_layers.is_some() || raw.schema_version == Some(1) {
            return Err(unsupported(
                "the manifest is of Docker's schema 1",
                "push the image again with a current tool; schema 1 was withdrawn",
            ));
        }
        let media_type = raw.media_type(content_type)?;
        let (subject, artifact_type, annotations) = raw.of_artifacts();
        match raw {
            Raw { manifests: Some(_), layers: Some(_), .. }
            | Raw { manifests: Some(_), config: Some(_), .. } => {
                Err(malformed("the document claims to be a manifest and an index at once"))
            }
            Raw { manifests: Some(entries), .. } => {
                check_type(&media_type, &[media_type::OCI_INDEX, media_type::DOCKER_LIST])?;
                let entries = entries.into_iter().filter_map(RawDescriptor::read_entry);
                let manifests = entries.collect::<Result<_>>()?;
                Ok(Self::Index(Index { media_type, manifests, subject, artifact_type, annotations }))
            }
            Raw { config: Some(config), layers, .. } => {
                check_type(&media_type, &[media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST])?;
                let layers = layers.into_iter().flatten().map(RawDescriptor::read);
                let (config, layers) = (config.read()?, layers.collect::<Result<_>>()?);
                let document = Manifest { media_type, config, layers, subject, artifact_type, annotations };
                Ok(Self::Manifest(document))
            }
            _ if !media_type::ACCEPTED.contains(&&*media_type) => Err(unknown_type(&media_type)),
            _ => Err(malformed("the document has neither `config` and `layers` nor `manifests`")
                .with_help(NO_MANIFEST)),
        }
    }
}

impl Raw {
    /// The fields that artifacts have. No image needs them, so one that cannot be read counts as absent.
    fn of_artifacts(&self) -> (Option<Descriptor>, Option<String>, BTreeMap<String, String>) {
        fn read<T: DeserializeOwned>(value: Option<&Value>) -> Option<T> {
            value.and_then(|value| serde_json::from_value(value.clone()).ok())
        }
        let subject = read::<RawDescriptor>(self.subject.as_ref()).and_then(|subject| subject.read().ok());
        let artifact_type = read(self.artifact_type.as_ref()).filter(|name: &String| !name.is_empty());
        (subject, artifact_type, read(self.annotations.as_ref()).unwrap_or_default())
    }

    /// The document's type: its own field, which must agree with the server's `Content-Type`; else the
    /// `Content-Type`; else the type that its fields imply.
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
    Err(unknown_type(found))
}

fn unknown_type(found: &str) -> Error {
    let message = format!("the document has the type {found:?}, which hoist does not support");
    unsupported(&message, "push it as an OCI or a Docker schema 2 image")
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
        for schema_1 in [r#"{"schemaVersion":1}"#, r#"{"fsLayers":[]}"#] {
            assert_eq!(kind(schema_1, None), ErrorKind::Unsupported);
        }
        assert_eq!(kind("<html>log in</html>", Some("text/html")), ErrorKind::Malformed);
        assert_eq!(kind("{}", None), ErrorKind::Malformed);
    }

    #[test]
    fn the_largest_document_is_read_and_no_larger_one() {
        let mut text = format!(r#"{{"manifests":[{}]}}"#, entry(DIGEST, "")).into_bytes();
        text.resize(usize::try_from(MAX_DOCUMENT).unwrap(), b' ');
        assert!(Document::parse(&text, None).is_ok());
        text.push(b' ');
        assert_eq!(*Document::parse(&text, None).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn a_server_that_agrees_with_the_document_is_believed() {
        let e = entry(DIGEST, "");
        let text = format!(r#"{{"mediaType":"{}","manifests":[{e}]}}"#, media_type::OCI_INDEX);
        let charset = format!("{}; charset=utf-8", media_type::OCI_INDEX);
        for content_type in [media_type::OCI_INDEX, &charset] {
            assert!(Document::parse(text.as_bytes(), Some(content_type)).is_ok(), "{content_type}");
        }
    }

    #[test]
    fn the_one_entry_of_an_index_that_does_not_say_what_it_is_for_is_what_there_is() {
        let amd64 = "linux/amd64".parse().unwrap();
        let choose = |entries: &[String]| {
            let text = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
            let Document::Index(index) = Document::parse(text.as_bytes(), None).unwrap() else { panic!() };
            index.choose(&amd64).is_ok()
        };
        let (silent, arm64) =
            (entry(DIGEST, ""), entry(DIGEST, r#","platform":{"os":"linux","architecture":"arm64"}"#));
        assert!(choose(std::slice::from_ref(&silent)));
        assert!(!choose(&[silent.clone(), silent.clone()]));
        assert!(!choose(&[silent, arm64.clone()]));
        assert!(!choose(&[arm64]));
    }

    #[test]
    fn a_format_that_is_not_read_is_named() {
        let artifact = "application/vnd.oci.artifact.manifest.v1+json";
        let own = format!(r#"{{"mediaType":"{artifact}","blobs":[]}}"#);
        for (text, content_type) in [(&*own, None), (r#"{"blobs":[]}"#, Some(artifact))] {
            let error = Document::parse(text.as_bytes(), content_type).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(artifact), "{error}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_not_chosen_from() {
        let e = entry(DIGEST, "");
        let twice = format!(r#"{{"config":{e},"layers":[],"layers":[{e}]}}"#);
        assert_eq!(kind(&twice, None), ErrorKind::Malformed);
    }

    #[test]
    fn nothing_as_go_writes_it_is_nothing() {
        let e = entry(DIGEST, r#","platform":null,"annotations":null,"urls":null"#);
        let text = format!(r#"{{"schemaVersion":2,"config":{e},"layers":null,"manifests":null}}"#);
        let Document::Manifest(manifest) = Document::parse(text.as_bytes(), None).unwrap() else { panic!() };
        assert_eq!((manifest.layers.len(), manifest.config.urls.len()), (0, 0));
    }

    #[test]
    fn weak_digests_are_refused_by_their_names() {
        let good = entry(DIGEST, "");
        for weak in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"]
        {
            let bad = entry(weak, "");
            for text in [
                format!(r#"{{"config":{bad},"layers":[]}}"#),
                format!(r#"{{"config":{good},"layers":[{bad}]}}"#),
            ] {
                let error = Document::parse(text.as_bytes(), None).unwrap_err();
                assert_eq!(*error.kind(), ErrorKind::Unsupported);
                assert!(error.report().contains(weak), "{}", error.report());
            }
        }
    }

    #[test]
    fn hostile_digests_and_sizes_are_rejected() {
        let index = format!(r#"{{"manifests":[{}]}}"#, entry("sha256:../../etc/passwd", ""));
        assert_eq!(kind(&index, None), ErrorKind::Malformed);
        let manifest = format!(r#"{{"config":{},"layers":[]}}"#, entry("sha256:../../etc/passwd", ""));
        assert_eq!(kind(&manifest, None), ErrorKind::Malformed);
        for size in ["-2", "-9223372036854775808", "18446744073709551616", "1e3", "1.5", "null", "\"2\""] {
            let lie =
                format!(r#"{{"manifests":[{}]}}"#, entry(DIGEST, "").replace(":2}", &format!(":{size}}}")));
            assert_eq!(kind(&lie, None), ErrorKind::Malformed, "{size}");
        }
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
        for silent in ["{}", r#"{"os":"","architecture":"amd64"}"#, r#"{"os":"linux","architecture":""}"#] {
            assert!(arm64.check(silent.as_bytes()).is_ok(), "an artifact has no platform: {silent}");
        }
    }
}
