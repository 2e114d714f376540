//! Finds the image of a name: to report it, or to hand it out.

use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use hoist_core::{Candidate, Digest, Platform, Reference, Result};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::StoredImage;
use super::record::{Place, Record};
use crate::fs::dir::cannot_write;
use crate::paths::images_path;
use crate::store::Store;
use crate::store::lease::Lease;

impl Store {
    /// The image that the store has under this name, for reporting only. It may be an image that is not
    /// [admitted](Self::with_admission), so do not hand it out. Writes nothing, and asks no policy.
    ///
    /// A digest (the manifest's or the index's) is also found if the image was pulled by a tag of the same
    /// repository. The lookup reads a few small files, which is cheap enough for asynchronous code.
    pub fn peek(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        match self.record_of(reference, platform)? {
            Some((_, record)) => self.stored(reference, &record),
            None => Ok(None),
        }
    }

    /// Like [`peek`](Self::peek), for this leased image only. Its files were checked when it was leased, and
    /// are not checked again.
    pub fn peek_leased(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
    ) -> Result<Option<StoredImage>> {
        let record = self.record_of(reference, platform)?.map(|(_, record)| record);
        let record = record.filter(|record| record.image == *lease.digest());
        Ok(record.map(|record| self.describe(reference, &record)))
    }

    /// The [`peek`](Self::peek) image that this reference leads to, for handing out.
    ///
    /// Fails if the image is not [admitted](Self::with_admission).
    pub async fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        self.find(reference, platform, Self::resolve_now).await
    }

    /// Like [`resolve`](Self::resolve), and records the use of the image. A digest that was found under another
    /// name also gets a ref of its own.
    pub async fn get_and_touch(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<StoredImage>> {
        let own = self.find(reference, platform, Self::hit_own).await?;
        if let Some(image) = own {
            return self.still_there(image).await;
        }
        if reference.digest().is_none() {
            return Ok(None);
        }
        let (reference, platform) = (reference.clone(), platform.clone());
        self.blocking(move |store| store.hit_alias(&reference, &platform)).await
    }

    /// Leases a found image if any caller wants leases. `None`: the image was removed in the meantime.
    async fn still_there(&self, image: StoredImage) -> Result<Option<StoredImage>> {
        if !self.is_leasing() {
            return Ok(Some(image));
        }
        self.blocking(move |store| Ok(store.lease_found(&image.digest)?.then_some(image))).await
    }

    fn resolve_now(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        let image = self.peek(reference, platform)?;
        image.map(|image| self.admitted(image, platform)).transpose()
    }

    fn hit_own(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        let own = Place::of(reference, platform);
        let Some((file, record)) = self.open_record(&own)? else { return Ok(None) };
        let Some(image) = self.stored(reference, &record)? else { return Ok(None) };
        let image = self.admitted(image, platform)?;
        if let Err(error) = note_use(&file) {
            // The store is read-only, or belongs to another user. What it has can be used all the same.
            tracing::debug!(%error, path = own.path(), "cannot note the use of an image");
        }
        Ok(Some(image))
    }

    /// Gives a digest without a ref of its own one, if the image is in the store under another name.
    fn hit_alias(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        if self.record_at(&Place::of(reference, platform))?.is_some() {
            return Ok(None);
        }
        let Some((place, record)) = self.alias_of(reference, platform)? else { return Ok(None) };
        let Some(lease) = self.lease(&record.image)? else { return Ok(None) };
        let index = self.index_at(&place, &record)?;
        let index = index.as_deref().map(|bytes| (&record.resolved, bytes));
        match self.name(reference, platform, &lease, index) {
            Err(error) if cannot_write(&error) => {
                tracing::debug!(error = error.report(), %reference, "cannot give a digest a ref of its own");
                self.unnamed_hit(reference, platform, &record, &lease).map(Some)
            }
            named => named.map(Some),
        }
    }

    /// A leased image, handed out under a name that the store cannot write down. `record` is that of another name of
    /// the image.
    pub(super) fn unnamed_hit(
        &self,
        reference: &Reference,
        platform: &Platform,
        record: &Record,
        lease: &Lease,
    ) -> Result<StoredImage> {
        let image = self.admitted(self.describe(reference, record), platform)?;
        self.lease_named(lease)?;
        Ok(image)
    }

    /// Returns the image if it may be handed out by its name.
    pub(super) fn admitted(&self, image: StoredImage, platform: &Platform) -> Result<StoredImage> {
        let StoredImage { path, reference, digest, resolved, .. } = &image;
        self.admit(&Candidate::new(reference, platform, resolved, digest, path))?;
        Ok(image)
    }

    /// The bytes of the index that this name resolved to. `None`: it resolved to a manifest, or is not here.
    ///
    /// Blocks, but only to read small files.
    pub fn index_of(&self, reference: &Reference, platform: &Platform) -> Result<Option<Vec<u8>>> {
        match self.record_of(reference, platform)? {
            Some((place, record)) => self.index_at(&place, &record),
            None => Ok(None),
        }
    }

    /// The index beside a ref. The two files may come from different pulls after a crash; the index is left out then.
    fn index_at(&self, place: &Place, record: &Record) -> Result<Option<Vec<u8>>> {
        let index = self.dir().read(format!("{}/{}", place.dir, place.index()), hoist_core::MAX_DOCUMENT)?;
        Ok(index.filter(|bytes| record.resolved.verify(bytes).is_ok()))
    }

    /// The record of this reference, and its place.
    fn record_of(&self, reference: &Reference, platform: &Platform) -> Result<Option<(Place, Record)>> {
        let place = Place::of(reference, platform);
        match self.record_at(&place)? {
            Some(record) => Ok(Some((place, record))),
            None => self.alias_of(reference, platform),
        }
    }

    /// The record of another reference of this repository that leads to the same digest, and its place.
    fn alias_of(&self, reference: &Reference, platform: &Platform) -> Result<Option<(Place, Record)>> {
        let Some(digest) = reference.digest() else { return Ok(None) };
        for place in self.aliases(reference, digest, platform)? {
            if let Some(record) = self.record_at(&place)? {
                return Ok(Some((place, record)));
            }
        }
        Ok(None)
    }

    /// The refs of this repository and platform that lead to `digest`, which may be an image's or an index's.
    pub(super) fn aliases(
        &self,
        reference: &Reference,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Vec<Place>> {
        let mut refs = self.refs_by(digest)?;
        refs.retain(|(place, record)| {
            place.file == platform.key() && record.reference.same_repository(reference)
        });
        Ok(refs.into_iter().map(|(place, _)| place).collect())
    }

    pub(super) fn stored(&self, reference: &Reference, record: &Record) -> Result<Option<StoredImage>> {
        Ok(self.has_whole(&record.image)?.then(|| self.describe(reference, record)))
    }

    pub(super) fn describe(&self, reference: &Reference, record: &Record) -> StoredImage {
        let Record { image, resolved, pulled, .. } = record;
        StoredImage {
            path: self.image_path(image),
            reference: reference.clone(),
            digest: image.clone(),
            resolved: resolved.clone(),
            // A time out of range becomes 1970, so that it counts as very old.
            pulled: UNIX_EPOCH.checked_add(Duration::from_secs(*pulled)).unwrap_or(UNIX_EPOCH),
        }
    }

    pub(crate) fn has_image(&self, digest: &Digest) -> Result<bool> {
        let index = format!("{}/{}/index.json", images_path(digest.algorithm()), digest.hex());
        Ok(self.dir().open_file(index)?.is_some())
    }
}

/// The modification time of a ref's file is the time of its last use.
fn note_use(file: &File) -> rustix::io::Result<()> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
    rustix::fs::futimens(file, &times)
}
