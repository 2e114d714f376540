//! Shelves as registries.

use std::fmt;

use hoist::{
    Descriptor, Digest, Document, Error, ErrorKind, Events, Fetched, ImageRegistry, Lease, Manifest,
    Platform, PulledImage, Reference, Result, Store, Verify, WriteQueue,
};

use crate::wire::ask;

/// Indexes in indexes in indexes are nobody's honest work.
const MAX_NESTING: usize = 4;

/// Every registry whose name is the address of a shelf. A pull always asks what a tag is now.
#[derive(Debug, Clone)]
pub struct ShelfRegistry {
    store: Store,
    platform: Platform,
}

/// What a name led to.
struct Found {
    manifest: Descriptor,
    bytes: Vec<u8>,
    document: Manifest,
    /// What it was chosen from.
    index: Option<(Digest, Vec<u8>)>,
}

impl ShelfRegistry {
    /// Shelves whose images go to this store, for this platform.
    #[must_use]
    pub fn new(store: Store, platform: Platform) -> Self {
        Self { store, platform }
    }

    async fn get(&self, reference: &str, verify: Verify) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let (this, name) = (self.clone(), reference.clone());
        let fetch = move |store, _| {
            let (this, name) = (Self { store, ..this.clone() }, name.clone());
            async move {
                let found = this.find(&name).await?;
                let lease = this.bring(&name, &found, verify).await?;
                Ok(Fetched::New { lease, index: found.index })
            }
        };
        self.store.pull(&reference, &self.platform, verify, &Events::default(), fetch).await
    }

    /// Asks what a name is, and for the image for the platform where it is an index.
    async fn find(&self, reference: &Reference) -> Result<Found> {
        let (mut manifest, mut bytes, mut document) =
            document(reference, &reference.selector(), reference.digest()).await?;
        let mut top = None;
        for _ in 0..MAX_NESTING {
            let index = match document {
                Document::Manifest(document) => return Ok(Found { manifest, bytes, document, index: top }),
                Document::Index(index) => index,
                _ => break,
            };
            top.get_or_insert((manifest.digest, bytes));
            let chosen = index.choose(&self.platform)?.clone();
            (_, bytes, document) =
                self::document(reference, &chosen.digest.to_string(), Some(&chosen.digest)).await?;
            manifest = chosen;
            manifest.size = bytes.len() as u64;
        }
        Err(Error::new(ErrorKind::Unsupported, "neither an image nor an index of some"))
    }

    /// Brings what the store lacks of an image.
    async fn bring(&self, reference: &Reference, found: &Found, verify: Verify) -> Result<Lease> {
        let staging = self.store.stage(verify)?;
        for blob in found.document.blobs() {
            let write = |queue: WriteQueue, _| async move {
                let digest = blob.digest.to_string();
                let answer = ask(reference.registry(), reference.repository(), &digest).await?;
                answer.write_to(blob, &queue).await
            };
            staging.fetch(blob, &Events::default(), write).await?;
        }
        staging.put(&found.manifest, found.bytes.clone()).await?;
        staging.commit_pulled(found.manifest.clone(), reference, &self.platform).await
    }
}

/// A manifest or an index, with the digest that was asked for, where one was.
async fn document(
    reference: &Reference,
    name: &str,
    pinned: Option<&Digest>,
) -> Result<(Descriptor, Vec<u8>, Document)> {
    let answer = ask(reference.registry(), reference.repository(), name).await?;
    let media_type = answer.media_type.clone();
    let bytes = answer.document().await?;
    if let Some(digest) = pinned {
        digest.verify(&bytes)?;
    }
    let document = Document::parse(&bytes, Some(&media_type))?;
    let mut descriptor = Descriptor::of(&media_type, &bytes);
    descriptor.digest = pinned.cloned().unwrap_or(descriptor.digest);
    Ok((descriptor, bytes, document))
}

#[async_trait::async_trait]
impl ImageRegistry for ShelfRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Cached).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Rehash).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.store.is_cached(reference, &self.platform)
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.store.remove_cached(reference, &self.platform).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.store.list_cached(&self.platform).await
    }
}

impl fmt::Display for ShelfRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shelf")
    }
}
