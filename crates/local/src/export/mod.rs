//! Writing images out: archives and layouts that docker, podman, skopeo, umoci and hoist itself read.
//!
//! [`Export`] leases the images and says which files the output has. `archive.rs` and `directory.rs` write these
//! files; `names.rs` writes the two files that list the images, `index.json` and docker's `manifest.json`; `blob.rs` reads
//! a blob of the store, and checks it.

mod archive;
mod blob;
mod directory;
mod names;

use std::collections::BTreeMap;
use std::io::{self, Read};

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, Event, Events, Manifest, Platform, Reference, Result,
    Source, config_platform,
};
use hoist_store::{Layout, Lease, Store, blocking};

use self::blob::CheckedBlob;

/// The content of `oci-layout`
/// ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file)).
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What kind of archive [`Export::write_archive`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ArchiveFormat {
    /// An OCI layout in a tar file, with docker's `manifest.json` beside it, as docker 25 and newer write it. Docker,
    /// podman, skopeo and containerd all read it.
    #[default]
    Oci,
    /// Docker's `manifest.json` with configurations and layers, without an OCI layout. Its readers compute a digest of
    /// their own; the digest of the manifest is lost.
    Docker,
}

/// How [`Export::write_archive`] compresses the archive as a whole. Layers stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ArchiveCompression {
    /// A plain tar file. Layers are usually compressed already.
    #[default]
    None,
    /// gzip, which every reader takes.
    Gzip,
    /// zstd.
    Zstd,
}

/// Images of a store to be written out. They stay leased until this is dropped.
#[derive(Debug)]
pub struct Export {
    images: Vec<Image>,
    events: Events,
}

/// One image, under one name.
#[derive(Debug)]
struct Image {
    reference: Reference,
    /// What `index.json` names: the index that the reference resolved to, or else the manifest.
    top: Descriptor,
    manifest: Descriptor,
    document: Manifest,
    index: Option<Vec<u8>>,
    layout: Layout,
    _lease: Lease,
}

/// Where the bytes of one file of the output come from.
enum Content<'a> {
    Bytes(&'a [u8]),
    Blob(&'a Layout, &'a Descriptor),
}

impl Export {
    /// Leases the images that these references have in the store for a platform. A reference that is listed twice
    /// counts once.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound) if the store lacks one of the images, and if one is not
    /// [admitted](Store::with_admission).
    pub async fn open(store: &Store, references: &[Reference], platform: &Platform) -> Result<Self> {
        let mut images: Vec<Image> = Vec::new();
        for reference in references {
            if !images.iter().any(|image| image.reference == *reference) {
                images.push(Image::open(store, reference, platform).await?);
            }
        }
        Ok(Self { images, events: Events::default() })
    }

    /// Reports the progress of each blob.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// The total size of all blobs, in bytes. A blob that images share counts once.
    pub fn size(&self) -> u64 {
        self.contents(ArchiveFormat::Oci).values().map(Content::size).sum()
    }

    /// All files below `blobs/`: each content once, in the order of their digests. The OCI formats have the manifests
    /// and indexes as well, which docker's format has not.
    fn contents(&self, format: ArchiveFormat) -> BTreeMap<&Digest, Content<'_>> {
        let mut contents = BTreeMap::new();
        for Image { top, manifest, document, index, layout, .. } in &self.images {
            contents.extend(document.blobs().map(|blob| (&blob.digest, Content::Blob(layout, blob))));
            if format == ArchiveFormat::Oci {
                contents.insert(&manifest.digest, Content::Blob(layout, manifest));
                contents.extend(index.iter().map(|bytes| (&top.digest, Content::Bytes(bytes))));
            }
        }
        contents
    }

    /// Gives the bytes of one file to `write`, and checks them on the way.
    fn copy(
        &self,
        digest: &Digest,
        content: &Content<'_>,
        write: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> Result<()> {
        self.events.emit(|| Event::blob_started(digest.clone(), content.size()));
        let told = |bytes| self.events.emit(|| Event::blob_progress(digest.clone(), bytes, Source::Store));
        let written = match content {
            Content::Bytes(bytes) => write(&mut &bytes[..]),
            Content::Blob(layout, blob) => write(&mut CheckedBlob::open(layout, blob, &told)?),
        };
        written.map_err(|cause| cause.downcast::<Error>().unwrap_or_else(cannot_write))?;
        self.events.emit(|| Event::blob_verified(digest.clone()));
        Ok(())
    }
}

impl Image {
    async fn open(store: &Store, reference: &Reference, platform: &Platform) -> Result<Self> {
        let missing = || {
            let message = format!("{reference} is not in this store for {platform}");
            Error::new(ErrorKind::NotFound, message).with_help("pull or load it first")
        };
        let stored = store.resolve(reference, platform).await?.ok_or_else(missing)?;
        let lease = store.lease_async(&stored.digest).await?.ok_or_else(missing)?;
        let (store, reference, platform) = (store.clone(), reference.clone(), platform.clone());
        blocking(move || {
            let layout = Layout::open(&stored.path)?;
            let (mut manifest, document) = layout.image()?;
            if manifest.platform.is_none() && document.is_runnable() {
                manifest.platform = config_platform(&layout.read(&document.config)?)?;
            }
            let index = store.index_of(&reference, &platform)?;
            let (top, index) = match index.and_then(|bytes| listing(bytes, &manifest.digest)) {
                Some((top, bytes)) => (top, Some(bytes)),
                None => (manifest.clone(), None),
            };
            Ok(Self { reference, top, manifest, document, index, layout, _lease: lease })
        })
        .await
    }
}

/// The descriptor of an index, and its bytes, if it lists this manifest. An index that only lists other indexes is
/// left out: it would lead to nothing.
fn listing(bytes: Vec<u8>, manifest: &Digest) -> Option<(Descriptor, Vec<u8>)> {
    match Document::parse(&bytes, None) {
        Ok(Document::Index(index)) if index.manifests.iter().any(|entry| entry.digest == *manifest) => {
            Some((Descriptor::of(&index.media_type, &bytes), bytes))
        }
        _ => None,
    }
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Blob(_, blob) => blob.size,
        }
    }
}

fn cannot_write(cause: io::Error) -> Error {
    Error::io("cannot write the output", cause)
}
