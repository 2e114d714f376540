//! Finds the image for a platform in an index and the indexes within it, within bounds.

use hoist_core::{Descriptor, Error, ErrorKind, Index, Platform, Result, UnreadableEntry, media_type};

const MAX_DEPTH: usize = 4; // real ones have one level within the first
const MAX_DOCUMENTS: usize = 32; // per reference: each is a request, and an index may list thousands

/// The search for an image. An entry for the platform goes before all others; then come the indexes among the entries
/// without a platform, in their order.
#[derive(Debug)]
pub(crate) struct IndexSearch<'a> {
    platform: &'a Platform,
    /// The entries to look into, the next one last, and their depths.
    ahead: Vec<(Descriptor, usize)>,
    /// The depth of the current entry.
    depth: usize,
    looked: usize,
    /// The platforms of other images.
    available: Vec<Platform>,
    /// The first entry that cannot be read.
    unreadable: Option<UnreadableEntry>,
}

impl<'a> IndexSearch<'a> {
    /// The search in this index. Fails as [`enter`](Self::enter) does.
    pub(crate) fn of(index: Index, platform: &'a Platform) -> Result<Self> {
        let (ahead, available) = (Vec::new(), Vec::new());
        let mut search = Self { platform, ahead, depth: 0, looked: 0, available, unreadable: None };
        search.enter(index)?;
        Ok(search)
    }

    /// The entry to look into next: the image, or an index to [enter](Self::enter).
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) if none is left, and with
    /// [`Malformed`](ErrorKind::Malformed) beyond the bounds.
    pub(crate) fn next(&mut self) -> Result<Descriptor> {
        let next = self.ahead.pop();
        let (entry, depth) = next.ok_or_else(|| self.missing())?;
        self.depth = depth;
        self.looked += 1;
        bound(self.looked, MAX_DOCUMENTS, "lead to more than", "documents")?;
        bound(self.depth, MAX_DEPTH, "are nested more than", "deep")?;
        Ok(entry)
    }

    fn missing(&mut self) -> Error {
        let missing = self.platform.missing(std::mem::take(&mut self.available));
        match self.unreadable.take() {
            Some(entry) => missing.with_source(entry.error),
            None => missing,
        }
    }

    /// Continues in the index behind the current entry. Fails if the entry that fits best cannot be read.
    pub(crate) fn enter(&mut self, mut index: Index) -> Result<()> {
        let depth = self.depth + 1;
        match index.choose(self.platform) {
            Ok(entry) => {
                self.ahead.push((entry.clone(), depth));
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::PlatformMissing { .. }) => {}
            Err(error) => return Err(error),
        }
        self.unreadable = self.unreadable.take().or_else(|| index.unreadable.drain(..).next());
        self.available.extend(index.manifests.iter().filter_map(|entry| entry.platform.clone()));
        let within = index.manifests.into_iter().filter(is_undeclared_index).rev();
        self.ahead.extend(within.map(|entry| (entry, depth)));
        Ok(())
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
