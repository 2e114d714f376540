//! Adoption: takes an image from a layout elsewhere into the store, and hashes it on the way.

use std::fs::File;
use std::io::{Read, Write};

use hoist_core::{Descriptor, Document, Error, ErrorKind, Event, Events, Hasher, Result, Source};

use crate::fs::blocking::blocking;
use crate::fs::dir::fail;
use crate::fs::hash::hash;
use crate::image::layout::Layout;
use crate::image::staging::{Staging, Verify};
use crate::store::Store;
use crate::store::lease::Lease;

const COPY_BUFFER: usize = 256 << 10;

impl Store {
    /// Copies the image with this manifest from a layout elsewhere into the store, and leases it.
    ///
    /// With [`Verify::Cached`], blobs that the store already has are not read again. All others are hashed. They
    /// are copied, as a reflink where the file system supports it, or hard-linked if the layout is declared
    /// [immutable](Layout::immutable).
    ///
    /// Adopting an image of this same store only leases it.
    pub async fn adopt(&self, layout: Layout, manifest: Descriptor, verify: Verify) -> Result<Lease> {
        self.adopt_reporting(layout, manifest, verify, Events::default()).await
    }

    /// Like [`adopt`](Self::adopt), and reports the progress of each blob.
    pub async fn adopt_reporting(
        &self,
        layout: Layout,
        manifest: Descriptor,
        verify: Verify,
        events: Events,
    ) -> Result<Lease> {
        if verify == Verify::Cached
            && let Some(lease) = self.lease_async(&manifest.digest).await?
        {
            return Ok(lease);
        }
        let store = self.clone();
        let staged = blocking(move || {
            let staging = store.stage(verify)?;
            let bytes = layout.read(&manifest)?;
            let Document::Manifest(document) = Document::parse(&bytes, Some(&manifest.media_type))? else {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    format!("{} is not a manifest", manifest.digest),
                ));
            };
            staging.take(&layout, &manifest, &Events::default())?;
            for blob in document.blobs() {
                staging.take(&layout, blob, &events)?;
            }
            Ok((staging, manifest))
        });
        let (staging, manifest) = staged.await?;
        staging.commit(manifest).await
    }
}

impl Staging {
    /// Adds a blob from the pool, or else from a layout elsewhere.
    fn take(&self, layout: &Layout, blob: &Descriptor, events: &Events) -> Result<()> {
        let (digest, size) = (|| blob.digest.clone(), blob.size);
        if self.link_sound(blob)? {
            events.emit(|| Event::blob_found(digest(), size));
            return Ok(());
        }
        events.emit(|| Event::blob_started(digest(), size));
        let source = layout.open_blob(blob)?;
        let linked = if layout.is_immutable() { self.link_in(layout, blob)? } else { false };
        let taken = if linked { Ok(()) } else { self.copy_in(source, blob) };
        taken
            .map_err(|e| self.store().explain_full(e, blob))
            .map_err(|e| e.context(format!("cannot take {}", layout.path().display())))?;
        let from = || Source::Directory(layout.path().into());
        events.emit(|| Event::blob_progress(digest(), size, from()));
        events.emit(|| Event::blob_verified(digest()));
        self.arrived(&blob.digest);
        self.share(&blob.digest)
    }

    /// Hard-links a file of an immutable layout, if it matches the descriptor. `false`: the file cannot be
    /// linked.
    fn link_in(&self, layout: &Layout, blob: &Descriptor) -> Result<bool> {
        let (scratch, name) = (self.scratch(), blob.digest.hex());
        let Some(blobs) = layout.blobs(&blob.digest)? else { return Ok(false) };
        if self.store().link(&blobs, name, scratch, name)?.is_err() {
            return Ok(false);
        }
        let Some(file) = scratch.open_file(name)? else { return Ok(false) };
        let path = scratch.path().join(name);
        let (found, size) = hash(&file, &path, blob.digest.algorithm())?;
        let checked = blob.expect_size(size).and_then(|()| blob.digest.expect(&found));
        if checked.is_err() {
            scratch.unlink(name)?;
        }
        checked?;
        scratch.seal(&file, &path)?;
        scratch.rename(name, self.blobs(&blob.digest)?, name)?;
        Ok(true)
    }

    /// Adds a copy of a file, if it matches the descriptor.
    pub(crate) fn copy_in(&self, mut source: File, blob: &Descriptor) -> Result<()> {
        let (scratch, name) = (self.scratch(), blob.digest.hex());
        let path = scratch.path().join(name);
        let copy = scratch.open_or_create(name)?;
        copy.set_len(0).map_err(|e| fail("write", &path, e))?;
        let found = match rustix::fs::ioctl_ficlone(&copy, &source) {
            Ok(()) => hash(&copy, &path, blob.digest.algorithm())?.0,
            Err(_) => copy_hashed(&mut source, &copy, blob).map_err(|e| fail("copy to", &path, e))?,
        };
        let size = copy.metadata().map_err(|e| fail("read", &path, e))?.len();
        let checked = blob.expect_size(size).and_then(|()| blob.digest.expect(&found));
        if checked.is_err() {
            scratch.unlink(name)?;
            return checked;
        }
        scratch.seal(&copy, &path)?;
        scratch.rename(name, self.blobs(&blob.digest)?, name)
    }
}

/// Copies a file and hashes the copied bytes. Reads at most one byte more than `blob.size`, which is enough to
/// detect a wrong size.
fn copy_hashed(source: &mut File, mut copy: &File, blob: &Descriptor) -> std::io::Result<hoist_core::Digest> {
    use std::io::Seek;
    source.rewind()?;
    let mut source = source.take(blob.size.saturating_add(1));
    let mut hasher = Hasher::new(blob.digest.algorithm());
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
        copy.write_all(&buffer[..count])?;
    }
}
