//! Images out of the store: into archives, layouts and other stores.

use hoist_core::{Error, ErrorKind, PulledImage, Reference, Result};
use hoist_store::{Fetched, Layout, Store, Verify};

use crate::hoist::Hoist;

impl Hoist {
    /// Leases stored images, to be written as an archive or a layout. No registry is asked.
    ///
    /// ```no_run
    /// # async fn run(hoist: hoist::Hoist) -> hoist::Result<()> {
    /// use hoist::{ArchiveCompression, ArchiveFormat};
    ///
    /// let export = hoist.export(&["nginx:1.27", "redis:7"]).await?;
    /// let file = std::fs::File::create("images.tar").expect("a file");
    /// let write = move || export.write_archive(file, ArchiveFormat::Oci, ArchiveCompression::None);
    /// tokio::task::spawn_blocking(write).await.expect("it does not panic")
    /// # }
    /// ```
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound) if the store lacks one of the images.
    #[cfg(feature = "local")]
    pub async fn export(&self, references: &[impl AsRef<str>]) -> Result<hoist_local::Export> {
        let parsed = references.iter().map(|reference| reference.as_ref().parse());
        let references = parsed.collect::<Result<Vec<_>>>()?;
        let export = hoist_local::Export::open(self.store(), &references, self.platform()).await?;
        Ok(export.with_events(self.events().clone()))
    }

    /// Copies a stored image into another store, under the same name. No registry is asked.
    ///
    /// Every byte is hashed on the way. Blobs are copied, as reflinks where the file system supports them, and never
    /// hard-linked: inside a store, the link count of a blob says whether it is in use. A name that leads to another
    /// image in the other store leads to this one afterwards.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound) if the image is not in this store.
    pub async fn copy_to(&self, reference: &str, other: &Store) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let (from, events) = (self.clone(), self.events().for_pull(&reference, self.platform()));
        let copy = other.owned(|other| async move {
            let fetch = |other| from.adopt_into(other, &reference);
            let copied = other.fetch_and_name(&reference, from.platform(), fetch).await;
            copied.map(Into::into).map_err(|cause| {
                cause.context(format!("cannot copy {reference} to {}", other.root().display()))
            })
        });
        events.follow(copy).await
    }

    async fn adopt_into(&self, other: Store, reference: &Reference) -> Result<Fetched> {
        let missing = || {
            let message =
                format!("{reference} is not in {} for {}", self.store().root().display(), self.platform());
            Error::new(ErrorKind::NotFound, message).with_help("pull or load it first")
        };
        let image = self.store().resolve(reference, self.platform()).await?.ok_or_else(missing)?;
        let _lease = self.store().lease_async(&image.digest).await?.ok_or_else(missing)?;
        let index = self.store().index_of(reference, self.platform())?;
        let layout = Layout::open(&image.path)?;
        let (manifest, _) = layout.image()?;
        let lease = other.adopt_reporting(layout, manifest, Verify::Cached, self.events().clone()).await?;
        Ok(Fetched::New { lease, index: index.map(|bytes| (image.resolved, bytes)) })
    }
}
