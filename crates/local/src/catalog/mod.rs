//! What a layout has at one moment: the entries of its index, their names, and the image in each.

mod choice;
mod content;
mod naming;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, Hasher, Index, Manifest, Platform, Reference, Result,
    UnreadableEntry, media_type,
};
use hoist_store::Layout;

use choice::Candidate;
pub(crate) use choice::Choice;
pub(crate) use content::Content;
pub(crate) use naming::{IMAGE_NAME, Naming};

const HASH_BUFFER: usize = 256 << 10;
/// How many names a message lists.
const LISTED: usize = 5;

/// A layout's index, read.
#[derive(Debug)]
pub(crate) struct Catalog<C> {
    pub(crate) content: C,
    platform: Platform,
    entries: Vec<Entry>,
    /// Entries that cannot be read, with their names where they have one.
    unreadable: Vec<(Option<Reference>, UnreadableEntry)>,
}

/// An entry of the index: one image, or one for each of several platforms.
#[derive(Debug)]
struct Entry {
    descriptor: Descriptor,
    /// An error: it cannot be named.
    name: Result<Reference>,
    /// Whether it says of itself what it is called.
    is_named: bool,
}

impl Entry {
    fn new(descriptor: Descriptor, naming: &Naming) -> Self {
        let is_named = naming::annotation(&descriptor).is_some();
        Self { name: naming.name(&descriptor), is_named, descriptor }
    }

    /// Whether what is asked for may be here, as far as names can tell.
    fn may_have(&self, asked: &Reference) -> bool {
        let in_repository = self.name.as_ref().ok().filter(|name| name.same_repository(asked));
        match asked.digest() {
            Some(_) => in_repository.is_some() || !self.is_named,
            None => in_repository.is_some_and(|name| name.digest().is_none() && name.tag() == asked.tag()),
        }
    }

    fn log(&self, error: &Error) {
        let digest = tracing::field::display(&self.descriptor.digest);
        tracing::warn!(digest, error = error.report(), "an entry is passed over");
    }
}

/// An image in a layout.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its manifest, with the platform that it is made for.
    pub(crate) manifest: Descriptor,
    /// The manifest's bytes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) document: Manifest,
    /// The index that it was chosen from.
    pub(crate) index: Option<(Digest, Vec<u8>)>,
}

impl Catalog<Layout> {
    /// Reads the index of the layout in this directory.
    pub(crate) fn read(path: &Path, naming: &Naming, platform: &Platform) -> Result<Self> {
        let layout = Layout::open(path)?;
        let index = layout.index()?;
        let this = Self::new(layout, index, naming, platform);
        for entry in &this.entries {
            _ = entry.name.as_ref().inspect_err(|error| entry.log(error));
        }
        Ok(this)
    }

    /// Reads all blobs of the image, and checks them against their descriptors.
    pub(crate) fn verify(&self, image: &Found) -> Result<()> {
        image.document.blobs().try_for_each(|blob| {
            let path = self.content.path().display();
            self.verify_blob(blob).map_err(|e| e.context(format!("cannot take {path}")))
        })
    }

    fn verify_blob(&self, blob: &Descriptor) -> Result<()> {
        let mut file = self.content.open_blob(blob)?.take(blob.size.saturating_add(1));
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut buffer = vec![0; HASH_BUFFER];
        loop {
            let count =
                file.read(&mut buffer).map_err(|e| Error::io(format!("cannot read {}", blob.digest), e))?;
            if count == 0 {
                return blob.digest.expect(&hasher.finish());
            }
            hasher.update(&buffer[..count]);
        }
    }
}

impl<C: Content> Catalog<C> {
    /// A layout with this index.
    pub(crate) fn new(content: C, index: Index, naming: &Naming, platform: &Platform) -> Self {
        let entries = index.manifests.into_iter().map(|entry| Entry::new(entry, naming)).collect();
        let unreadable = index.unreadable.into_iter().map(|entry| (naming.name_of(&entry), entry)).collect();
        Self { content, platform: platform.clone(), entries, unreadable }
    }

    /// An error for each entry that cannot be read, and may be an image for the platform of a name that has no other.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = Error> {
        let has_other =
            |name: &Reference| self.entries.iter().any(|entry| entry.name.as_ref().ok() == Some(name));
        let is_alone = move |name: &Option<Reference>| !name.as_ref().is_some_and(has_other);
        let may_fit =
            |made_for: &Option<Platform>| made_for.as_ref().is_none_or(|it| self.platform.accepts(it));
        let alone = self.unreadable.iter().filter(move |(name, _)| is_alone(name));
        alone.filter(move |(_, entry)| may_fit(&entry.platform)).map(|(_, entry)| entry.error.clone())
    }

    /// The entries of this name that cannot be read.
    fn unreadable_of(&self, name: Option<&Reference>) -> Vec<UnreadableEntry> {
        let of = self.unreadable.iter().filter(|(other, _)| name.is_some() && other.as_ref() == name);
        of.map(|(_, entry)| entry.clone()).collect()
    }

    /// The image of this name that suits the platform best.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound), with
    /// [`PlatformMissing`](ErrorKind::PlatformMissing) where there are only others of this name, and with
    /// [`Malformed`](ErrorKind::Malformed) where two of this name suit it equally well.
    pub(crate) fn find(&self, asked: &Reference) -> Result<Found> {
        let candidates: Vec<_> = self.candidates(asked).filter_map(|(_, image)| image.transpose()).collect();
        if candidates.is_empty() {
            return Err(self.not_found(asked));
        }
        let unreadable = self.unreadable_of(Some(asked));
        let Choice { image, troubles } =
            choice::choose(&self.content, &self.platform, candidates, &unreadable);
        for error in troubles {
            tracing::warn!(reference = %asked, error = error.report(), "an entry of this name is passed over");
        }
        image
    }

    /// All names, and the image of each that suits the platform. Each entry that cannot be named comes alone.
    pub(crate) fn images(&self) -> Vec<(Result<Reference>, Choice)> {
        let mut places = HashMap::new();
        let mut names: Vec<(Result<Reference>, Vec<&Entry>)> = Vec::new();
        for entry in &self.entries {
            let place = match &entry.name {
                Ok(name) => *places.entry(name).or_insert(names.len()),
                Err(_) => names.len(),
            };
            match names.get_mut(place) {
                Some((_, alike)) => alike.push(entry),
                None => names.push((entry.name.clone(), vec![entry])),
            }
        }
        let choose = |(name, alike): (Result<Reference>, Vec<&Entry>)| {
            let choice = self.choose(name.as_ref().ok(), alike);
            (name, choice)
        };
        names.into_iter().map(choose).collect()
    }

    fn choose(&self, name: Option<&Reference>, entries: Vec<&Entry>) -> Choice {
        let candidates = entries.into_iter().filter_map(|entry| self.candidate(entry, None).transpose());
        choice::choose(&self.content, &self.platform, candidates.collect(), &self.unreadable_of(name))
    }

    /// The names of all images that are here whole, for this platform.
    pub(crate) fn names(&self) -> Vec<Reference> {
        let named = self.images().into_iter().filter_map(|(name, choice)| Some((name.ok()?, choice)));
        named.filter(|(name, choice)| self.is_whole(name, choice)).map(|(name, _)| name).collect()
    }

    /// Whether an image was chosen that is here whole. Trouble is logged.
    fn is_whole(&self, name: &Reference, choice: &Choice) -> bool {
        let whole = choice.image.as_ref().map_err(Clone::clone).and_then(|image| self.check_whole(image));
        let whole = absent(whole).inspect_err(|error| {
            tracing::warn!(reference = %name, error = error.report(), "an image is passed over");
        });
        matches!(whole, Ok(Some(())))
    }

    /// The entries that have what is asked for, and those of that very name that are too damaged to tell.
    pub(crate) fn entries_of(&self, asked: &Reference) -> Vec<&Descriptor> {
        let has = |entry: &Descriptor, image: Result<Option<Found>>| match image {
            Ok(image) => image.is_some(),
            Err(error) => {
                let is_named_so = asked.digest().is_none_or(|pinned| *pinned == entry.digest);
                is_named_so && !matches!(error.kind(), ErrorKind::PlatformMissing { .. })
            }
        };
        let of_one = |candidate| choice::choose(&self.content, &self.platform, vec![candidate], &[]).image;
        let candidates = self.candidates(asked);
        let candidates =
            candidates.map(|(entry, it)| (&entry.descriptor, it.transpose().map(of_one).transpose()));
        candidates.filter_map(|(entry, image)| has(entry, image).then_some(entry)).collect()
    }

    /// Fails with [`NotFound`](ErrorKind::NotFound) or [`SizeMismatch`](ErrorKind::SizeMismatch) unless all
    /// blobs of the image are here in their size.
    pub(crate) fn check_whole(&self, image: &Found) -> Result<()> {
        image.document.blobs().try_for_each(|blob| self.content.check(blob))
    }

    fn candidates(&self, asked: &Reference) -> impl Iterator<Item = (&Entry, Result<Option<Candidate>>)> {
        let named = self.entries.iter().filter(|entry| entry.may_have(asked));
        named.map(|entry| (entry, self.candidate(entry, asked.digest())))
    }

    /// What an entry has that suits the platform, or that is pinned. `None`: it is not the pinned one.
    fn candidate(&self, entry: &Entry, pinned: Option<&Digest>) -> Result<Option<Candidate>> {
        let entry = &entry.descriptor;
        let pinned = pinned.filter(|pinned| **pinned != entry.digest);
        if pinned.is_some() && is_manifest(&entry.media_type) {
            return Ok(None);
        }
        let of = |image| Ok(Some(Candidate { manifest: entry.clone(), image }));
        let Some(platform) = entry.platform.as_ref().filter(|_| !is_index(&entry.media_type)) else {
            return self.in_entry(entry, pinned);
        };
        if !self.platform.accepts(platform) {
            return of(Err(self.platform.missing(vec![platform.clone()]))); // it need not be here
        }
        match self.in_entry(entry, pinned) {
            Err(error) if !matches!(error.kind(), ErrorKind::PlatformMissing { .. }) => of(Err(error)),
            outcome => outcome,
        }
    }

    fn in_entry(&self, entry: &Descriptor, pinned: Option<&Digest>) -> Result<Option<Candidate>> {
        let (entry, bytes) = self.content.read_document(entry)?;
        match (Document::parse(&bytes, Some(&entry.media_type))?, pinned) {
            (Document::Manifest(document), None) => {
                self.single(&entry, bytes, document, true).map(Candidate::from).map(Some)
            }
            (Document::Index(index), None) => {
                let chosen = index.choose(&self.platform)?;
                let image = match self.nested(chosen) {
                    Ok(found) => Ok(Found { index: Some((entry.digest.clone(), bytes)), ..found }),
                    Err(error) => {
                        Err(choice::lacking(&self.content, chosen, &index.manifests).unwrap_or(error))
                    }
                };
                let manifest = image.as_ref().map_or(chosen, |found| &found.manifest).clone();
                Ok(Some(Candidate { manifest, image }))
            }
            (Document::Index(index), Some(pinned)) => {
                let chosen = index.manifests.iter().find(|m| m.digest == *pinned);
                chosen.map(|chosen| self.nested(chosen).map(Candidate::from)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// The image of an entry of an index within the layout.
    fn nested(&self, entry: &Descriptor) -> Result<Found> {
        let (entry, bytes) = self.content.read_document(entry)?;
        let Document::Manifest(manifest) = Document::parse(&bytes, Some(&entry.media_type))? else {
            let message = format!("{} is an index within an index", entry.digest);
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        self.single(&entry, bytes, manifest, false)
    }

    /// The image with this manifest, if it is made for the platform.
    ///
    /// An index's word on the platform is believed, as it is the index that was chosen from; all others are
    /// checked against the configuration.
    fn single(&self, entry: &Descriptor, bytes: Vec<u8>, document: Manifest, check: bool) -> Result<Found> {
        let mut manifest = entry.clone();
        let read = |config: &Descriptor| self.content.read(config).map(Some);
        manifest.platform = self.platform.check_image(entry, &document, read)?;
        if document.is_runnable() {
            let config = self.content.read(&document.config)?;
            choice::check_layers(&document, &config)?;
            if check {
                self.platform.check(&config)?;
            }
        }
        Ok(Found { manifest, bytes, document, index: None })
    }

    fn not_found(&self, asked: &Reference) -> Error {
        let may_be = |name: &Option<Reference>| self.entries.is_empty() || name.as_ref() == Some(asked);
        if let Some((_, entry)) = self.unreadable.iter().find(|(name, _)| may_be(name)) {
            return entry.error.clone();
        }
        let path = self.content.place();
        let mut names: Vec<_> =
            self.entries.iter().filter_map(|e| Some(e.name.as_ref().ok()?.to_string())).collect();
        names.sort();
        names.dedup();
        let more = if names.len() > LISTED { ", ..." } else { "" };
        let help = match &names[..] {
            [] => "put an image there first".to_owned(),
            names => format!("choose what is there: {}{more}", names[..names.len().min(LISTED)].join(", ")),
        };
        let missing = Error::new(ErrorKind::NotFound, format!("{path} has no {asked}")).with_help(help);
        match self.unreadable.first() {
            Some((_, entry)) => missing.with_source(entry.error.clone()),
            None => missing,
        }
    }
}

/// `None` for what is not there, or not for this platform; all else stays an error.
pub(crate) fn absent<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::PlatformMissing { .. } => Ok(None),
            _ => Err(error),
        },
    }
}

impl From<Found> for Candidate {
    fn from(image: Found) -> Self {
        Self { manifest: image.manifest.clone(), image: Ok(image) }
    }
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_INDEX | media_type::DOCKER_LIST)
}

fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST)
}
