//! Indexes within indexes: the image for a platform, wherever in them it is, within bounds.

use hoist_core::{Descriptor, Error, ErrorKind, Index, Platform, Result, media_type};

const MAX_DEPTH: usize = 4; // real ones have one level within the first
const MAX_DOCUMENTS: usize = 32; // what is read of one reference: each is a request, and one may list thousands

/// The search for an image. An entry that says that it is made for the platform goes before all others; then come
/// the indexes among the entries that do not say, in their order.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    platform: &'a Platform,
    /// What is to be looked into, the next at the end, and how deep it lies.
    ahead: Vec<(Descriptor, usize)>,
    /// How deep what is looked into now lies.
    depth: usize,
    looked: usize,
    /// What there is for other platforms.
    available: Vec<Platform>,
}

impl<'a> Search<'a> {
    /// The search in this index.
    pub(crate) fn of(index: Index, platform: &'a Platform) -> Self {
        let mut search = Self { platform, ahead: Vec::new(), depth: 0, looked: 0, available: Vec::new() };
        search.enter(index);
        search
    }

    /// The entry to look into next: the image, or an index to [enter](Self::enter).
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) where there is none left, and with
    /// [`Malformed`](ErrorKind::Malformed) beyond the bounds.
    pub(crate) fn next(&mut self) -> Result<Descriptor> {
        let next = self.ahead.pop();
        let (entry, depth) =
            next.ok_or_else(|| self.platform.missing(std::mem::take(&mut self.available)))?;
        self.depth = depth;
        self.looked += 1;
        bound(self.looked, MAX_DOCUMENTS, "lead to more than", "documents")?;
        bound(self.depth, MAX_DEPTH, "are nested more than", "deep")?;
        Ok(entry)
    }

    /// Goes on in the index that the entry was.
    pub(crate) fn enter(&mut self, index: Index) {
        let depth = self.depth + 1;
        if let Ok(entry) = index.choose(self.platform) {
            self.ahead.push((entry.clone(), depth));
            return;
        }
        self.available.extend(index.manifests.iter().filter_map(|entry| entry.platform.clone()));
        let within = index.manifests.into_iter().filter(is_undeclared_index).rev();
        self.ahead.extend(within.map(|entry| (entry, depth)));
    }
}

fn is_undeclared_index(entry: &Descriptor) -> bool {
    entry.platform.is_none() && matches!(&*entry.media_type, media_type::OCI_INDEX | media_type::DOCKER_LIST)
}

fn bound(count: usize, limit: usize, verb: &str, unit: &str) -> Result<()> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Malformed, format!("the indexes {verb} {limit} {unit}"))
        .with_help("ask for the image by its own digest"))
}
