//! What a directory has at one moment: the entries of its index, their names, and the image in each.

use std::io::Read;
use std::path::Path;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, Hasher, Index, Manifest, Platform, Reference, Result,
    config_platform, media_type,
};
use hoist_store::Layout;

use crate::naming::{self, Naming};

const HASH_BUFFER: usize = 256 << 10;
/// How many names a message lists.
const LISTED: usize = 5;

/// A directory's index, read.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) layout: Layout,
    platform: Platform,
    entries: Vec<Entry>,
}

/// An entry of the index: one image, or one for each of several platforms.
#[derive(Debug)]
struct Entry {
    descriptor: Descriptor,
    /// `None`: it cannot be named.
    name: Option<Reference>,
    /// Whether it says of itself what it is called.
    is_named: bool,
}

impl Entry {
    fn new(descriptor: Descriptor, naming: &Naming) -> Self {
        let is_named = naming::annotation(&descriptor).is_some();
        let name = naming.name(&descriptor).inspect_err(|error| {
            let digest = tracing::field::display(&descriptor.digest);
            tracing::warn!(digest, error = error.report(), "an entry that cannot be named is passed over");
        });
        Self { name: name.ok(), is_named, descriptor }
    }

    /// Whether what is asked for may be here, as far as names can tell.
    fn may_have(&self, asked: &Reference) -> bool {
        let in_repository = self.name.as_ref().filter(|name| name.same_repository(asked));
        match asked.digest() {
            Some(_) => in_repository.is_some() || !self.is_named,
            None => in_repository.is_some_and(|name| name.digest().is_none() && name.tag() == asked.tag()),
        }
    }
}

/// An image in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its manifest, with the platform that it is made for.
    pub(crate) manifest: Descriptor,
    pub(crate) document: Manifest,
    /// The index that it was chosen from.
    pub(crate) index: Option<(Digest, Vec<u8>)>,
}

impl Catalog {
    /// Reads the index of the layout in this directory.
    pub(crate) fn read(path: &Path, naming: &Naming, platform: &Platform) -> Result<Self> {
        let layout = Layout::open(path)?;
        let entries = layout.entries()?.into_iter().map(|entry| Entry::new(entry, naming)).collect();
        Ok(Self { layout, platform: platform.clone(), entries })
    }

    /// The image of this name that suits the platform best.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound), and with
    /// [`PlatformMissing`](ErrorKind::PlatformMissing) where there are only others of this name.
    pub(crate) fn find(&self, asked: &Reference) -> Result<Found> {
        let (mut found, mut trouble) = (Vec::new(), None);
        for (_, image) in self.candidates(asked) {
            match image {
                Ok(image) => found.extend(image),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        let platforms =
            found.iter().enumerate().filter_map(|(n, f)| Some((f.manifest.platform.as_ref()?, n)));
        let best = self.platform.choose(platforms).unwrap_or_default();
        match found.into_iter().nth(best) {
            Some(image) => Ok(image),
            None => Err(trouble.unwrap_or_else(|| self.not_found(asked))),
        }
    }

    /// The names of all images that are here whole, for this platform.
    pub(crate) fn names(&self) -> Vec<&Reference> {
        let named = self.entries.iter().filter_map(|entry| Some((entry, entry.name.as_ref()?)));
        named.filter(|(entry, _)| self.is_whole(entry)).map(|(_, name)| name).collect()
    }

    /// Whether an entry has an image for the platform that is here whole. Trouble is logged.
    fn is_whole(&self, entry: &Entry) -> bool {
        let image =
            self.image(entry, None).and_then(|image| image.iter().try_for_each(|i| self.check_whole(i)));
        let image = absent(image).inspect_err(|error| {
            let digest = tracing::field::display(&entry.descriptor.digest);
            tracing::warn!(digest, error = error.report(), "an entry that cannot be read is passed over");
        });
        matches!(image, Ok(Some(())))
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
        let candidates = self.candidates(asked).map(|(entry, image)| (&entry.descriptor, image));
        candidates.filter_map(|(entry, image)| has(entry, image).then_some(entry)).collect()
    }

    /// Fails with [`NotFound`](ErrorKind::NotFound) or [`SizeMismatch`](ErrorKind::SizeMismatch) unless all
    /// blobs of the image are here in their size.
    pub(crate) fn check_whole(&self, image: &Found) -> Result<()> {
        image.document.blobs().try_for_each(|blob| self.layout.open_blob(blob).map(drop))
    }

    /// Reads all blobs of the image, and checks them against their descriptors.
    pub(crate) fn verify(&self, image: &Found) -> Result<()> {
        image.document.blobs().try_for_each(|blob| {
            let path = self.layout.path().display();
            self.verify_blob(blob).map_err(|e| e.context(format!("cannot take {path}")))
        })
    }

    fn verify_blob(&self, blob: &Descriptor) -> Result<()> {
        let mut file = self.layout.open_blob(blob)?.take(blob.size.saturating_add(1));
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

    fn candidates(&self, asked: &Reference) -> impl Iterator<Item = (&Entry, Result<Option<Found>>)> {
        let named = self.entries.iter().filter(|entry| entry.may_have(asked));
        named.map(|entry| (entry, self.image(entry, asked.digest())))
    }

    /// The image in an entry that suits the platform, or that is pinned. `None`: it is not the pinned one.
    fn image(&self, entry: &Entry, pinned: Option<&Digest>) -> Result<Option<Found>> {
        let entry = &entry.descriptor;
        let pinned = pinned.filter(|pinned| **pinned != entry.digest);
        if pinned.is_some() && is_manifest(&entry.media_type) {
            return Ok(None);
        }
        let bytes = self.layout.read(entry)?;
        match (Document::parse(&bytes, Some(&entry.media_type))?, pinned) {
            (Document::Manifest(document), None) => self.single(entry, document, true).map(Some),
            (Document::Index(index), None) => {
                let chosen = index.choose(&self.platform)?;
                let image = self.single(chosen, self.manifest(chosen)?, false)?;
                Ok(Some(Found { index: Some((entry.digest.clone(), bytes)), ..image }))
            }
            (Document::Index(index), Some(pinned)) => {
                let Some(chosen) = index.manifests.iter().find(|m| m.digest == *pinned) else {
                    return Ok(None);
                };
                self.single(chosen, self.manifest(chosen)?, false).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The image with this manifest, if it is made for the platform.
    ///
    /// An index's word on the platform is believed, as it is the index that was chosen from; all others are
    /// checked against the configuration.
    fn single(&self, entry: &Descriptor, document: Manifest, check: bool) -> Result<Found> {
        let of_one = Index::new(media_type::OCI_INDEX, vec![entry.clone()]);
        let mut manifest = of_one.choose(&self.platform)?.clone();
        if document.is_runnable() && (check || manifest.platform.is_none()) {
            let config = self.layout.read(&document.config)?;
            self.platform.check(&config)?;
            manifest.platform = manifest.platform.or_else(|| config_platform(&config));
        }
        Ok(Found { manifest, document, index: None })
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Manifest> {
        let bytes = self.layout.read(entry)?;
        let Document::Manifest(manifest) = Document::parse(&bytes, Some(&entry.media_type))? else {
            let message = format!("{} is an index within an index", entry.digest);
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        Ok(manifest)
    }

    fn not_found(&self, asked: &Reference) -> Error {
        let path = self.layout.path().display();
        let mut names: Vec<_> =
            self.entries.iter().filter_map(|e| Some(e.name.as_ref()?.to_string())).collect();
        names.sort();
        names.dedup();
        let more = if names.len() > LISTED { ", ..." } else { "" };
        let help = match &names[..] {
            [] => "put an image there first".to_owned(),
            names => format!("choose what is there: {}{more}", names[..names.len().min(LISTED)].join(", ")),
        };
        Error::new(ErrorKind::NotFound, format!("{path} has no {asked}")).with_help(help)
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

fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST)
}
