//! Refs: which image a reference leads to, for each platform, in one small file each.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Algorithm, Candidate, Digest, Platform, PulledImage, Reference, Result};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::account::modified;
use crate::dir::{Dir, fail};
use crate::lease::Lease;
use crate::lock;
#[cfg(doc)]
use crate::options::StoreOptions;
use crate::record::{Place, Record};
use crate::store::{Store, images_path};

/// An image of a store, under the name that it was asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredImage {
    /// The image's layout directory.
    pub path: PathBuf,
    /// The name that it was asked for by.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What the name was resolved to: the manifest, or the index that it was chosen from.
    pub resolved: Digest,
    /// When it was begun to be resolved, or last asked whether it is [still so](Store::confirm): to the second.
    pub pulled: SystemTime,
}

impl From<StoredImage> for PulledImage {
    fn from(image: StoredImage) -> Self {
        Self { path: image.path, digest: image.digest.to_string(), reference: image.reference.to_string() }
    }
}

/// The names of an image.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Sorted.
    pub(crate) references: Vec<Reference>,
    pub(crate) places: Vec<Place>,
    /// When it was last used by any of them.
    pub(crate) last_used: Option<SystemTime>,
}

impl Store {
    /// What the store has under this name, to be told and not to be handed out: it may be an image that is not
    /// [admitted](Self::with_admission). Nothing is written, and nobody asked.
    ///
    /// A digest is found also where it came by a tag of the same repository, by the manifest's digest or the
    /// index's. A few reads of small files: cheap enough to be called from asynchronous code.
    pub fn known(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        match self.record_of(reference, platform)? {
            Some((_, record)) => self.stored(reference, &record),
            None => Ok(None),
        }
    }

    /// As [`known`](Self::known), if it is this leased image: whose files were looked at when it was leased, and are not
    /// looked at again.
    pub fn known_as(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
    ) -> Result<Option<StoredImage>> {
        let record = self.record_of(reference, platform)?.map(|(_, record)| record);
        let record = record.filter(|record| record.image == *lease.digest());
        Ok(record.map(|record| self.describe(reference, &record)))
    }

    /// The image that this reference leads to, if it is [`known`](Self::known), to be handed out.
    ///
    /// Fails where it is not [admitted](Self::with_admission).
    pub async fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        self.find(reference, platform, Self::resolve_now).await
    }

    /// As [`resolve`](Self::resolve), and noted as a use; and a
    /// digest that was found by another name has one of its own from now on.
    pub async fn hit(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
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

    /// Leases an image that was found, where anybody wants leases. `None`: it has gone meanwhile.
    async fn still_there(&self, image: StoredImage) -> Result<Option<StoredImage>> {
        if !self.is_leasing() {
            return Ok(Some(image));
        }
        self.blocking(move |store| Ok(store.lease_found(&image.digest)?.then_some(image))).await
    }

    fn resolve_now(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        let image = self.known(reference, platform)?;
        image.map(|image| self.admitted(image, platform)).transpose()
    }

    fn hit_own(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        let own = Place::of(reference, platform);
        let Some((file, record)) = self.open_record(&own)? else { return Ok(None) };
        let Some(image) = self.stored(reference, &record)? else { return Ok(None) };
        let image = self.admitted(image, platform)?;
        note_use(&file).map_err(|e| fail("note the use of", &self.root().join(own.path()), e))?;
        Ok(Some(image))
    }

    /// Gives a digest that has no name of its own one, if it is here by another.
    fn hit_alias(&self, reference: &Reference, platform: &Platform) -> Result<Option<StoredImage>> {
        if self.record_at(&Place::of(reference, platform))?.is_some() {
            return Ok(None);
        }
        let Some((place, record)) = self.alias_of(reference, platform)? else { return Ok(None) };
        let Some(lease) = self.lease(&record.image)? else { return Ok(None) };
        let index = self.dir().read(format!("{}/{}", place.dir, place.index()), hoist_core::MAX_DOCUMENT)?;
        // A ref and the index beside it are two files: after a crash, they may be of different pulls.
        let index = index.as_deref().filter(|bytes| record.resolved.verify(bytes).is_ok());
        let index = index.map(|bytes| (&record.resolved, bytes));
        self.name(reference, platform, &lease, index).map(Some)
    }

    /// The image, if it may be handed out by its name.
    fn admitted(&self, image: StoredImage, platform: &Platform) -> Result<StoredImage> {
        let StoredImage { path, reference, digest, resolved, .. } = &image;
        self.admit(&Candidate::new(reference, platform, resolved, digest, path))?;
        Ok(image)
    }

    /// Makes a leased image known by a reference, in place of what that led to before.
    ///
    /// `index` is what the image was chosen from, where it was: its digest, and its bytes, which are kept.
    ///
    /// If an image was added since the last time, and the store has a [limit](StoreOptions::with_max_size),
    /// others are evicted now; not this one, since it is leased.
    ///
    /// Fails where the image is not [admitted](Self::with_admission): the name leads to what it did before.
    pub fn name(
        &self,
        reference: &Reference,
        platform: &Platform,
        lease: &Lease,
        index: Option<(&Digest, &[u8])>,
    ) -> Result<StoredImage> {
        self.name_where(reference, platform, lease, index, SystemTime::now(), |_| true)
    }

    /// As [`name`](Self::name), of what was begun to be resolved at this time. What the reference leads to stays, and is
    /// returned, where that was begun to be resolved later: a pull that takes long does not undo what another one has
    /// done meanwhile.
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

    /// Names an image, unless what the reference leads to does not give way: then that is returned.
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
        // Refs are written one after the other, so that each knows what it replaces.
        let dir = lock::hold(self.dir(), &place.dir)?;
        let before = self.record_at(&place)?;
        if let Some(later) = before.as_ref().filter(|before| !gives_way(before))
            && let Some(image) = self.stored(reference, later)?
        {
            drop(dir);
            self.lease_found(&image.digest)?;
            return self.admitted(image, platform); // whoever named it may not have had to have it admitted
        }
        for digest in record.leads_to() {
            self.mark(digest, &place.path())?;
        }
        let written = self.write_ref(&dir, &place, &record, index.map(|(_, bytes)| bytes));
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

    /// Notes that a reference still leads to this leased image, as somebody was told who asked at this time: it counts as
    /// [pulled](StoredImage::pulled) then, and what else is known of it stays. One that leads elsewhere by now is
    /// [named](Self::name_as_of) anew, unless somebody else asked later.
    ///
    /// Fails where the image is not [admitted](Self::with_admission).
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
            self.write_ref(&dir, &place, &record, None)?;
        }
        self.lease_named(lease)?;
        Ok(self.describe(reference, &record))
    }

    /// The names by which this image, or the index that it was chosen from, is here for this platform: in all
    /// repositories, sorted.
    pub fn names_of(&self, digest: &Digest, platform: &Platform) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for (place, record) in self.refs_by(digest)? {
            if place.file == platform.key() {
                references.push(record.reference);
            }
        }
        references.sort_by_cached_key(ToString::to_string);
        Ok(references)
    }

    /// The images that no name leads to, of whatever platform: a moved tag has left them, and [`gc`](Self::gc)
    /// takes those that nobody leases.
    pub fn unnamed(&self) -> Result<Vec<Digest>> {
        let mut unnamed = Vec::new();
        for algorithm in Algorithm::ALL {
            let Some(images) = self.dir().sub(images_path(algorithm))? else { continue };
            for image in images.digests(algorithm)? {
                let image = image?;
                if !self.is_named(&image)? {
                    unnamed.push(image);
                }
            }
        }
        unnamed.sort();
        Ok(unnamed)
    }

    /// Deletes an image that no name leads to. `false`: there is no such image, it has a name, or it is leased.
    pub fn remove_unnamed(&self, image: &Digest) -> Result<bool> {
        self.collect(image)
    }

    /// Forgets the image under this name; a digest is forgotten under all names that it has in its
    /// repository. What no name leads to any more is deleted, unless it is leased: then it is deleted by the
    /// next to collect it. `true`: it was here.
    pub fn remove(&self, reference: &Reference, platform: &Platform) -> Result<bool> {
        let mut found = false;
        let digest = reference.digest().cloned();
        let mut places = vec![Place::of(reference, platform)];
        if let Some(digest) = &digest {
            places.extend(self.aliases(reference, digest, platform)?);
        }
        for place in places {
            found |= self.remove_ref(&place)?;
        }
        Ok(found)
    }

    fn remove_ref(&self, place: &Place) -> Result<bool> {
        let Some(record) = self.forget(place, |_| true)? else { return Ok(false) };
        let whole = self.has_image(&record.image)?;
        self.collect(&record.image)?;
        Ok(whole)
    }

    /// Removes a ref, if what it holds is as it should be for that; its image stays as it is.
    pub(crate) fn forget(&self, place: &Place, if_is: impl Fn(&Record) -> bool) -> Result<Option<Record>> {
        if self.record_at(place)?.is_none() {
            return Ok(None);
        }
        let dir = lock::hold(self.dir(), &place.dir)?;
        let record = self.record_at(place)?.filter(if_is);
        if let Some(record) = &record {
            unlink_ref(&dir, place)?;
            for digest in record.leads_to() {
                self.unmark(digest, &place.path())?;
            }
        }
        // Last of all: whoever makes the directory anew need not wait for who holds this one.
        self.prune_empty(&place.dir)?;
        Ok(record)
    }

    /// The refs that lead to this image, of whatever platform.
    pub(crate) fn refs_to(&self, image: &Digest) -> Result<Vec<(Place, Record)>> {
        let mut refs = self.refs_by(image)?;
        refs.retain(|(_, record)| record.image == *image);
        Ok(refs)
    }

    /// The refs that lead to this image or index, of whatever platform.
    fn refs_by(&self, digest: &Digest) -> Result<Vec<(Place, Record)>> {
        let mut refs = Vec::new();
        for place in self.marked(digest)?.iter().filter_map(|path| Place::from_path(path)) {
            let leads = |record: &Record| record.leads_to().any(|to| to == digest);
            if let Some(record) = self.record_at(&place)?.filter(leads) {
                refs.push((place, record));
            }
        }
        Ok(refs)
    }

    /// The names of this image, of whatever platform.
    pub(crate) fn names_of_image(&self, image: &Digest) -> Result<Names> {
        let mut names = Names::default();
        for (place, record) in self.refs_to(image)? {
            let Some(stat) = self.dir().stat(place.path())? else { continue };
            names.last_used = names.last_used.max(Some(modified(&stat)));
            names.references.push(record.reference);
            names.places.push(place);
        }
        names.references.sort_by_cached_key(ToString::to_string);
        names.references.dedup();
        Ok(names)
    }

    /// Whether any ref leads to this image.
    pub(crate) fn is_named(&self, image: &Digest) -> Result<bool> {
        Ok(!self.refs_to(image)?.is_empty())
    }

    /// The record of this reference, and where it is.
    fn record_of(&self, reference: &Reference, platform: &Platform) -> Result<Option<(Place, Record)>> {
        let place = Place::of(reference, platform);
        match self.record_at(&place)? {
            Some(record) => Ok(Some((place, record))),
            None => self.alias_of(reference, platform),
        }
    }

    /// The record of another reference of this repository that leads to the same digest, and where it is.
    fn alias_of(&self, reference: &Reference, platform: &Platform) -> Result<Option<(Place, Record)>> {
        let Some(digest) = reference.digest() else { return Ok(None) };
        for place in self.aliases(reference, digest, platform)? {
            if let Some(record) = self.record_at(&place)? {
                return Ok(Some((place, record)));
            }
        }
        Ok(None)
    }

    /// The refs of this repository and platform that lead to `digest`, be it an image's or an index's.
    fn aliases(&self, reference: &Reference, digest: &Digest, platform: &Platform) -> Result<Vec<Place>> {
        let mut refs = self.refs_by(digest)?;
        refs.retain(|(place, record)| {
            place.file == platform.key() && record.reference.same_repository(reference)
        });
        Ok(refs.into_iter().map(|(place, _)| place).collect())
    }

    fn write_ref(&self, dir: &Dir, place: &Place, record: &Record, index: Option<&[u8]>) -> Result<()> {
        let scratch = self.scratch()?;
        let line = serde_json::to_vec(record).expect("a record has nothing that JSON cannot hold");
        scratch.dir().write_new("ref", &line)?;
        if let Some(bytes) = index {
            scratch.dir().write_new("index", bytes)?;
        }
        // No name is given after the call was dropped: the last look, and nothing but the renaming.
        let goes_on = self.goes_on()?;
        if index.is_some() {
            scratch.dir().rename("index", dir, &place.index())?;
        }
        scratch.dir().rename("ref", dir, &place.file)?;
        drop(goes_on);
        dir.sync()
    }

    /// Takes back what was prepared for a ref that was not written, whose directory is held.
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

    fn stored(&self, reference: &Reference, record: &Record) -> Result<Option<StoredImage>> {
        Ok(self.has_whole(&record.image)?.then(|| self.describe(reference, record)))
    }

    pub(crate) fn has_image(&self, digest: &Digest) -> Result<bool> {
        let index = format!("{}/{}/index.json", images_path(digest.algorithm()), digest.hex());
        Ok(self.dir().open_file(index)?.is_some())
    }

    fn describe(&self, reference: &Reference, record: &Record) -> StoredImage {
        let Record { image, resolved, pulled, .. } = record;
        StoredImage {
            path: self.image_path(image),
            reference: reference.clone(),
            digest: image.clone(),
            resolved: resolved.clone(),
            // No clock shows a time that cannot be told; who ages by it takes this for very old.
            pulled: UNIX_EPOCH.checked_add(Duration::from_secs(*pulled)).unwrap_or(UNIX_EPOCH),
        }
    }

    /// Removes directories of refs that have become empty, from the innermost outwards.
    pub(crate) fn prune_empty(&self, dir: &str) -> Result<()> {
        let mut path = dir;
        while path != "refs" && self.dir().remove_empty(path)? {
            path = path.rsplit_once('/').map_or("refs", |(parent, _)| parent);
        }
        Ok(())
    }
}

/// Removes the files of a ref, whose directory is held.
pub(crate) fn unlink_ref(dir: &Dir, place: &Place) -> Result<()> {
    dir.unlink(&place.file)?;
    dir.unlink(place.index())?;
    dir.sync()
}

/// The time of a ref's file is that of its last use.
fn note_use(file: &File) -> rustix::io::Result<()> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
    rustix::fs::futimens(file, &times)
}

/// A time in seconds since 1970, as a record has it.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same in nanoseconds.
fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Record {
    /// Whether somebody who asked at this time knows better than this.
    fn gives_way_to(&self, asked: SystemTime) -> bool {
        // A time that is still to come is that of a clock which was wrong.
        self.asked <= nanoseconds(asked) || self.asked > nanoseconds(SystemTime::now())
    }
}
