//! Which digests the names of a store lead to, at one moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hoist_core::{Descriptor, Digest, Reference};
use hoist_store::{Arrival, Arrivals, Entry};
use serde::Serialize;

use crate::options::ServeOptions;

/// A manifest or index that refers to another one, as a descriptor.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    media_type: String,
    pub(crate) digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Referrer {
    pub(super) fn new(descriptor: Descriptor, artifact_type: Option<String>) -> Self {
        let Descriptor { media_type, digest, size, annotations, .. } = descriptor;
        Self { media_type, digest, size, artifact_type, annotations }
    }
}

/// What shared names lead to.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    public: HashSet<Digest>,
    by_digest: HashMap<Digest, Vec<Arc<Entry>>>,
    referrers: HashMap<Digest, Vec<Referrer>>,
    images: HashSet<Digest>,
}

impl Snapshot {
    pub(super) fn new(public: HashSet<Digest>) -> Self {
        Self { public, ..Self::default() }
    }

    /// A shared name leads to this digest.
    pub(super) fn add(&mut self, digest: &Digest, entry: &Arc<Entry>) {
        if self.public.contains(digest) {
            self.by_digest.entry(digest.clone()).or_default().push(entry.clone());
        }
    }

    pub(super) fn refers(&mut self, subject: &Digest, referrer: &Referrer) {
        let all = self.referrers.entry(subject.clone()).or_default();
        if !all.iter().any(|known| known.digest == referrer.digest) {
            all.push(referrer.clone());
        }
    }

    pub(super) fn count(&mut self, image: &Digest) {
        self.images.insert(image.clone());
    }

    /// Whether its bytes came in such a way that they may be served.
    pub(super) fn is_public(&self, digest: &Digest) -> bool {
        self.public.contains(digest)
    }

    /// The names through which this digest may be served.
    pub(super) fn entries(&self, digest: &Digest) -> &[Arc<Entry>] {
        self.by_digest.get(digest).map_or(&[], Vec::as_slice)
    }

    pub(super) fn referrers(&self, subject: &Digest) -> &[Referrer] {
        self.referrers.get(subject).map_or(&[], Vec::as_slice)
    }

    /// The number of images that are not served, and of all.
    pub(super) fn withheld(&self) -> (usize, usize) {
        let withheld = self.images.iter().filter(|image| !self.by_digest.contains_key(image));
        (withheld.count(), self.images.len())
    }
}

impl ServeOptions {
    /// Whether anything of this name may be served.
    pub(super) fn may_share(&self, name: &Reference) -> bool {
        (self.share)(name) || (self.share_private)(name)
    }

    /// The content whose bytes came in such a way that they may be served.
    pub(super) fn public(&self, arrivals: &Arrivals) -> HashSet<Digest> {
        let mut scopes = HashMap::<&str, (bool, bool)>::new();
        let mut public = HashSet::new();
        for (repository, digest, how) in arrivals.iter() {
            let (shared, private) = *scopes.entry(repository).or_insert_with(|| {
                let name = format!("{repository}:latest").parse::<Reference>();
                name.map_or((false, false), |name| ((self.share)(&name), (self.share_private)(&name)))
            });
            let is_open = how.iter().any(|how| matches!(how, Arrival::Anonymous | Arrival::Loaded));
            if private || (shared && is_open) {
                public.insert(digest.clone());
            }
        }
        public
    }
}
