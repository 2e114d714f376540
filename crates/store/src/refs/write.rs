//! Names an image, and makes sure that no pull undoes the result of a later one.

use std::time::{SystemTime, UNIX_EPOCH};

use hoist_core::{Digest, Platform, Reference, Result};

use super::StoredImage;
use super::record::{Place, Record};
use crate::fs::dir::{Dir, cannot_write};
use crate::fs::lock;
#[cfg(doc)]
use crate::options::StoreOptions;
use crate::store::Store;
use crate::store::arrival::InnerIndex;
use crate::store::lease::Lease;

impl Store {
    /// Makes a reference lead to a leased image, in place of the image that it led to before.
    ///
    /// `index` is the digest and the raw bytes of the index that the image was chosen from, if any. The store
    /// keeps the bytes.
    ///
    /// If the store has a [limit](StoreOptions::with_max_size) and an image was added since the last call, this
    /// evicts other images. It does not evict this one, because it is leased.
    ///
    /// Fails if the image is not [admitted](Self::with_admission). The name then leads to the same image as
    /// before.
    pub fn name(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
        index: Option<(&Digest, &[u8])>,
    ) -> Result<StoredImage> {
        self.name_where(reference, platform, lease, index, SystemTime::now(), |_| true)
    }

    /// Like [`name`](Self::name), for a resolution that began at `asked`. If the reference already leads to an
    /// image whose resolution began later, that image stays and is returned: a slow pull does not undo the
    /// result of a newer one.
    pub fn name_as_of(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
        index: Option<(&Digest, &[u8])>,
        asked: SystemTime,
    ) -> Result<StoredImage> {
        let gives_way = |before: &Record| before.gives_way_to(asked);
        self.name_where(reference, platform, lease, index, asked, gives_way)
    }

    /// Names an image. If the reference's current record does not give way, keeps that and returns its image
    /// instead.
    fn name_where(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
        index: Option<(&Digest, &[u8])>,
        asked: SystemTime,
        gives_way: impl Fn(&Record) -> bool,
    ) -> Result<StoredImage> {
        let place = Place::of(reference, platform);
        let image = lease.digest();
        let record = Record {
            reference: reference.clone(),
            image: image.clone(),
            resolved: index.map_or(image, |(digest, _)| digest).clone(),
            pulled: seconds(asked),
            asked: nanoseconds(asked),
        };
        let admitted = self.admitted(self.describe(reference, &record), platform);
        admitted.inspect_err(|_| self.collect_refused())?;
        // Refs are written one after another, so that each writer knows what it replaces.
        let dir = lock::hold(self.dir(), &place.dir)?;
        let before = self.record_at(&place)?;
        if let Some(later) = before.as_ref().filter(|before| !gives_way(before))
            && let Some(image) = self.stored(reference, later)?
        {
            drop(dir);
            self.lease_found(&image.digest)?;
            return self.admitted(image, platform); // another handle may have named it without asking this policy
        }
        for digest in record.leads_to() {
            self.mark(digest, &place.path())?;
        }
        self.note_arrivals(reference, lease, index.map(|(digest, _)| digest))?;
        let inner = lease.arrived().map_or(&[][..], |arrived| &arrived.inner_indexes);
        let written = self.write_ref(&dir, &place, &record, index.map(|(_, bytes)| (bytes, inner)));
        if written.is_err() && self.goes_on().is_err() {
            self.unmark_in_vain(&place, &record)?;
        }
        written?;
        self.lease_named(lease)?;
        for digest in before.iter().flat_map(Record::leads_to) {
            if !record.leads_to().any(|kept| kept == digest) {
                self.unmark(digest, &place.path())?;
            }
        }
        drop(dir);
        self.keep_to_limit();
        Ok(self.describe(reference, &record))
    }

    /// Records that a reference still leads to this leased image, according to a check that began at `asked`.
    /// The image then counts as [pulled](StoredImage::pulled) at that time, and the rest of its record stays.
    /// If the reference leads elsewhere by now, this [names](Self::name_as_of) the image again, unless another
    /// check began later. If the store cannot be written, nothing is recorded.
    ///
    /// Fails if the image is not [admitted](Self::with_admission).
    pub fn confirm(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
        asked: SystemTime,
    ) -> Result<StoredImage> {
        let place = Place::of(reference, platform);
        let same = |known: &Record| known.image == *lease.digest();
        let Some(known) = self.record_at(&place)?.filter(same) else {
            return self.name_as_of(reference, platform, lease, None, asked);
        };
        self.admitted(self.describe(reference, &known), platform)?;
        let dir = lock::hold(self.dir(), &place.dir)?;
        let unchanged = |record: &Record| same(record) && record.resolved == known.resolved;
        let Some(mut record) = self.record_at(&place)?.filter(unchanged) else {
            drop(dir);
            return self.confirm(reference, platform, lease, asked);
        };
        if record.gives_way_to(asked) {
            (record.pulled, record.asked) = (seconds(asked), nanoseconds(asked));
            match self.write_ref(&dir, &place, &record, None) {
                Err(error) if cannot_write(&error) => {
                    tracing::debug!(error = error.report(), %reference, "cannot note that a name was checked");
                }
                outcome => outcome?,
            }
        }
        self.lease_named(lease)?;
        Ok(self.describe(reference, &record))
    }

    /// `indexes` are the bytes of the outermost one, and those within it.
    fn write_ref(
        &self,
        dir: &Dir,
        place: &Place,
        record: &Record,
        indexes: Option<(&[u8], &[InnerIndex])>,
    ) -> Result<()> {
        let scratch = self.scratch()?;
        let line = serde_json::to_vec(record).expect("a record has nothing that JSON cannot hold");
        scratch.dir().write_new("ref", &line)?;
        let (index, inner) = indexes.map_or((None, &[][..]), |(bytes, inner)| (Some(bytes), inner));
        if let Some(bytes) = index {
            scratch.dir().write_new("index", bytes)?;
        }
        for (digest, bytes) in inner {
            scratch.dir().write_new(digest.hex(), bytes)?;
        }
        // No name may be written after the call was dropped. So this is the last check, and only the renames
        // follow.
        let goes_on = self.goes_on()?;
        if index.is_some() {
            scratch.dir().rename("index", dir, &place.index())?;
        }
        for (digest, _) in inner {
            scratch.dir().rename(digest.hex(), dir, &place.inner_index(digest))?;
        }
        if !inner.is_empty() {
            place.unlink_inner_indexes(dir, |digest| inner.iter().any(|(kept, _)| kept == digest))?;
        }
        scratch.dir().rename("ref", dir, &place.file)?;
        drop(goes_on);
        dir.sync()
    }

    /// Undoes the preparation of a ref that was not written. The caller holds its directory's lock.
    fn unmark_in_vain(&self, place: &Place, record: &Record) -> Result<()> {
        let before = self.record_at(place)?;
        let is_led_to = |digest: &Digest| before.iter().flat_map(Record::leads_to).any(|to| to == digest);
        for digest in record.leads_to() {
            if !is_led_to(digest) {
                self.unmark(digest, &place.path())?;
            }
        }
        if before.is_none() { self.prune_empty(&place.dir) } else { Ok(()) }
    }
}

/// A time in seconds since 1970, as in a record.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same in nanoseconds.
fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Record {
    /// Whether an answer to a question asked at this time is newer than this record.
    fn gives_way_to(&self, asked: SystemTime) -> bool {
        // A time in the future comes from a clock that was wrong.
        self.asked <= nanoseconds(asked) || self.asked > nanoseconds(SystemTime::now())
    }
}
