//! Reads manifests and indexes from untrusted sources. Each document must be exactly one of the two, and fields
//! must not contradict each other.

use serde_json::value::RawValue;

use super::json::{Fields, json_text, malformed};
use super::platforms::Stated;
use super::{Descriptor, Document, Index, MAX_DOCUMENT, Manifest, UnreadableEntry, media_type};
use crate::error::{Error, ErrorKind, Result};

const INDEXES: [&str; 2] = [media_type::OCI_INDEX, media_type::DOCKER_LIST];
const MANIFESTS: [&str; 2] = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];

impl Document {
    /// Parses a manifest or an index. `content_type` is the server's `Content-Type`, if any.
    ///
    /// Absent, `null` and empty are one thing, and text that is not Unicode is replaced. Each entry of an index is
    /// read on its own: see [`Index::unreadable`].
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if the bytes are neither, are both, or if one side says that it
    /// is a manifest and the other that it is an index (CVE-2021-41190). Fails with
    /// [`Unsupported`](ErrorKind::Unsupported) for other formats, such as Docker's schema 1, and for content that is
    /// named by a weak digest, such as MD5. Fails with [`TooLarge`](ErrorKind::TooLarge) for more than
    /// [`MAX_DOCUMENT`] bytes.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            let message = format!("the manifest has more than {MAX_DOCUMENT} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let text = json_text(bytes);
        let fields = Fields::read(&text)
            .map_err(|cause| malformed("this is neither a manifest nor an index").with_source(cause))?;
        Raw::read(&fields)?.parse(content_type)
    }
}

/// The fields that distinguish the kinds of documents. Each is allowed only in its own kind.
struct Raw<'d, 'a> {
    fields: &'d Fields<'a>,
    media_type: Option<String>,
    config: Option<Fields<'a>>,
    layers: Vec<&'a RawValue>,
    manifests: Option<Vec<&'a RawValue>>,
}

impl<'d, 'a> Raw<'d, 'a> {
    fn read(fields: &'d Fields<'a>) -> Result<Self> {
        let version = fields.get::<&RawValue>("schemaVersion")?.map(RawValue::get);
        if fields.get::<&RawValue>("fsLayers")?.is_some() || version == Some("1") {
            return Err(unsupported(
                "the manifest is of Docker's schema 1",
                "push the image again with a current tool; schema 1 was withdrawn",
            ));
        }
        Ok(Self {
            fields,
            media_type: fields.text("mediaType")?.as_deref().map(essence),
            config: fields.object("config")?,
            layers: fields.list("layers")?.unwrap_or_default(),
            manifests: fields.list("manifests")?,
        })
    }

    fn parse(self, content_type: Option<&str>) -> Result<Document> {
        let served = content_type.map(essence).filter(|served| served.starts_with("application/vnd."));
        let is_image = self.config.is_some() || !self.layers.is_empty();
        let entries = self.manifests.as_ref().map_or(0, Vec::len);
        let says_index =
            self.media_type.as_deref().or(served.as_deref()).is_some_and(|t| INDEXES.contains(&t));
        if is_image && entries > 0 {
            return Err(malformed("the document claims to be a manifest and an index at once"));
        }
        if is_image {
            let media_type = self.media_type(served, MANIFESTS)?;
            return self.manifest(media_type).map(Document::Manifest);
        }
        if says_index || self.manifests.is_some() {
            let media_type = self.media_type(served, INDEXES)?;
            return Ok(Document::Index(self.index(media_type)));
        }
        match self.media_type.or(served) {
            Some(other) if !media_type::ACCEPTED.contains(&&*other) => Err(unknown_type(&other)),
            _ => Err(malformed("the document has neither `config` and `layers` nor `manifests`")),
        }
    }

    /// The document's type: its own field, or else the server's `Content-Type`, or else the usual one of its shape.
    /// Both have to be of its shape. Proxies that know one type only call an OCI image a Docker one, which is as good.
    fn media_type(&self, served: Option<String>, of_shape: [&str; 2]) -> Result<String> {
        let is_other = |found: &str| media_type::ACCEPTED.contains(&found) && !of_shape.contains(&found);
        match (&self.media_type, served) {
            (Some(own), Some(served)) if of_shape.contains(&&**own) && is_other(&served) => Err(malformed(
                format!("the document says that it is {own}, and the server that it is {served}"),
            )),
            (Some(own), _) => check_type(own, of_shape),
            (None, Some(served)) => check_type(&served, of_shape),
            (None, None) => Ok(of_shape[0].to_owned()),
        }
    }

    fn manifest(self, media_type: String) -> Result<Manifest> {
        let Some(config) = &self.config else { return Err(malformed("the manifest has no `config`")) };
        let of = |what: String| {
            move |error: Error| error.context(format!("{what} of the manifest cannot be used"))
        };
        let config = part(config).map_err(of("the `config`".into()))?;
        let layer = |(place, raw): (usize, &&RawValue)| {
            object(raw).and_then(|fields| part(&fields)).map_err(of(format!("layer {}", place + 1)))
        };
        let layers = self.layers.iter().enumerate().map(layer).collect::<Result<_>>()?;
        let (subject, artifact_type, annotations) =
            (self.subject(), self.artifact_type(), self.annotations());
        Ok(Manifest { media_type, config, layers, subject, artifact_type, annotations })
    }

    fn index(self, media_type: String) -> Index {
        let (subject, artifact_type, annotations) =
            (self.subject(), self.artifact_type(), self.annotations());
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for (place, raw) in self.manifests.iter().flatten().enumerate() {
            match entry(raw) {
                Ok(entry) => manifests.push(entry),
                Err(error) => unreadable.push(unreadable_entry(raw, place, error)),
            }
        }
        Index { media_type, manifests, unreadable, subject, artifact_type, annotations }
    }

    // No image needs these, so one that cannot be read counts as absent.

    fn subject(&self) -> Option<Descriptor> {
        part(&self.fields.object("subject").ok()??).ok()
    }

    fn artifact_type(&self) -> Option<String> {
        self.fields.text("artifactType").ok()?
    }

    fn annotations(&self) -> std::collections::BTreeMap<String, String> {
        self.fields.notes("annotations")
    }
}

fn object(raw: &RawValue) -> Result<Fields<'_>> {
    Fields::read(raw.get()).map_err(|cause| malformed("it is no object").with_source(cause))
}

/// The descriptor of a part of an image.
fn part(fields: &Fields<'_>) -> Result<Descriptor> {
    let size = fields.get("size")?.ok_or_else(|| malformed("it has no `size`"))?;
    descriptor(fields, size)
}

/// An entry of an index. A manifest is known by its digest alone, and some tools leave its size out.
fn entry(raw: &RawValue) -> Result<Descriptor> {
    let fields = object(raw)?;
    let size = fields.get("size")?.unwrap_or_default();
    let platform = platform(&fields)?;
    if size > MAX_DOCUMENT {
        return Err(Error::new(ErrorKind::TooLarge, format!("it has more than {MAX_DOCUMENT} bytes")));
    }
    Ok(Descriptor { platform, ..descriptor(&fields, size)? })
}

fn platform(entry: &Fields<'_>) -> Result<Option<crate::Platform>> {
    let Some(platform) = entry.object("platform")? else { return Ok(None) };
    let cannot = |error: Error| malformed("its `platform` cannot be read").with_source(error);
    Stated::read(&platform).and_then(Stated::of_entry).map_err(cannot)
}

/// Fails with [`Unsupported`](ErrorKind::Unsupported) if the digest's algorithm cannot be trusted.
fn descriptor(fields: &Fields<'_>, size: u64) -> Result<Descriptor> {
    let digest = fields.text("digest")?.ok_or_else(|| malformed("it has no `digest`"))?;
    let digest = digest.parse().map_err(|cause: Error| {
        let kind = match cause.kind() {
            ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Malformed,
        };
        Error::new(kind, "the document names content by a digest that cannot be checked")
            .with_source(cause)
            .with_help("push the image again with a current tool")
    })?;
    Ok(Descriptor {
        annotations: fields.notes("annotations"),
        urls: fields.texts("urls").unwrap_or_default(),
        ..Descriptor::new(fields.text("mediaType")?.unwrap_or_default(), digest, size)
    })
}

/// Keeps what can be read of an entry.
fn unreadable_entry(raw: &RawValue, place: usize, error: Error) -> UnreadableEntry {
    let fields = object(raw).ok();
    UnreadableEntry {
        platform: fields.as_ref().and_then(|fields| platform(fields).ok()?),
        annotations: fields.map(|fields| fields.notes("annotations")).unwrap_or_default(),
        error: error.context(format!("entry {} of the index cannot be used", place + 1)),
    }
}

/// A media type without its parameters, in lower case.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn check_type(found: &str, of_shape: [&str; 2]) -> Result<String> {
    if of_shape.contains(&found) {
        return Ok(found.to_owned());
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

fn unsupported(message: &str, help: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

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
        assert_eq!(kind(&typed, Some(media_type::DOCKER_MANIFEST)), ErrorKind::Malformed);
        for (other, shape) in [(media_type::OCI_INDEX, "config"), (media_type::DOCKER_MANIFEST, "manifests")]
        {
            let shape =
                if shape == "config" { format!(r#""config":{e}"#) } else { format!(r#""manifests":[{e}]"#) };
            assert_eq!(kind(&format!(r#"{{"mediaType":"{other}",{shape}}}"#), None), ErrorKind::Malformed);
        }
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
        let chosen = |entry: &str| {
            let text = format!(r#"{{"manifests":[{entry}]}}"#);
            let Document::Index(index) = Document::parse(text.as_bytes(), None).unwrap() else { panic!() };
            index.choose(&"linux/amd64".parse().unwrap()).cloned().map_err(|error| error.kind().clone())
        };
        let amd64 = r#","platform":{"os":"linux","architecture":"amd64"}"#;
        assert_eq!(chosen(&entry("sha256:../../etc/passwd", amd64)).unwrap_err(), ErrorKind::Malformed);
        let manifest = format!(r#"{{"config":{},"layers":[]}}"#, entry("sha256:../../etc/passwd", ""));
        assert_eq!(kind(&manifest, None), ErrorKind::Malformed);
        for size in ["-2", "-9223372036854775808", "18446744073709551616", "1e3", "1.5", "\"2\""] {
            let lie = |platform| entry(DIGEST, platform).replace(":2", &format!(":{size}"));
            assert_eq!(chosen(&lie(amd64)).unwrap_err(), ErrorKind::Malformed, "{size}");
            let manifest = format!(r#"{{"config":{}}}"#, lie(""));
            assert_eq!(kind(&manifest, None), ErrorKind::Malformed, "{size}");
        }
        let huge = entry(DIGEST, amd64).replace(":2", ":9223372036854775807");
        assert_eq!(chosen(&huge).unwrap_err(), ErrorKind::TooLarge);
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
        for silent in ["{}", r#"{"os":null,"architecture":""}"#, r#"{"os":"linux","architecture":""}"#] {
            assert!(arm64.check(silent.as_bytes()).is_ok(), "it does not say for what: {silent}");
        }
        for partial in
            [r#"{"architecture":"amd64"}"#, r#"{"os":"windows"}"#, r#"{"os":"","architecture":"amd64"}"#]
        {
            assert!(arm64.check(partial.as_bytes()).is_err(), "it says enough: {partial}");
        }
    }
}
