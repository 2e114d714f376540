//! Shelves as registries.

use std::fmt;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, ImageRegistry, MAX_DOCUMENT, Manifest, Platform,
    PulledImage, Reference, Result,
};
use hoist_store::{Lease, Store, StoredImage, Verify, WriteQueue, blocking};

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
        self.store.admit_reference(&reference)?;
        if verify == Verify::Cached
            && reference.digest().is_some()
            && let Some(image) = self.store.get_and_touch(&reference, &self.platform).await?
        {
            return Ok(image.into());
        }
        let image = self.fetch(&reference, verify).await;
        image.map(Into::into).map_err(|error| error.context(format!("cannot pull {reference}")))
    }

    async fn fetch(&self, reference: &Reference, verify: Verify) -> Result<StoredImage> {
        let found = self.find(reference).await?;
        let lease = self.bring(reference, &found, verify).await?;
        let (this, reference) = (self.clone(), reference.clone());
        blocking(move || {
            let index = found.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
            this.store.name(&reference, &this.platform, &lease, index)
        })
        .await
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
            chosen.expect_size(bytes.len() as u64)?;
            manifest = chosen;
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
            staging.fetch(blob, write).await?;
        }
        if found.manifest.platform.is_none()
            && let Some(config) = staging.read(&found.document.config, MAX_DOCUMENT)?
        {
            self.platform.check(&config)?;
        }
        staging.put(&found.manifest, found.bytes.clone()).await?;
        staging.commit(found.manifest.clone()).await
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
        let image = reference.parse().and_then(|reference| self.store.peek(&reference, &self.platform));
        image.is_ok_and(|image| image.is_some())
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        let (this, reference) = (self.clone(), reference.parse()?);
        blocking(move || this.store.remove(&reference, &this.platform)).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let this = self.clone();
        let references = blocking(move || this.store.list(&this.platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for ShelfRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shelf")
    }
}
