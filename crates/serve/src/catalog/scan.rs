//! Reads the store into a snapshot. Only what has changed since the last scan is read.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use hoist_core::{Descriptor, Digest, Document, Error, MAX_DOCUMENT, Result};
use hoist_store::{Arrivals, Entries, Entry, Store};

use super::snapshot::{Referrer, Snapshot};
use crate::options::ServeOptions;

/// What earlier scans have read.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    entries: Entries,
    arrivals: Arrivals,
    documents: HashMap<Digest, Arc<Facts>>,
}

/// What a manifest or an index says.
#[derive(Debug, Default)]
struct Facts {
    blobs: Vec<Digest>,
    subject: Option<(Digest, Referrer)>,
}

impl Scanner {
    pub(super) fn scan(&mut self, store: &Store, options: &ServeOptions) -> Result<Snapshot> {
        // Notes are written before the name that they are about.
        self.entries.refresh(store)?;
        self.arrivals.refresh(store)?;
        let mut snapshot = Snapshot::new(options.public(&self.arrivals));
        let (mut documents, all) = (HashMap::new(), self.entries.iter().cloned().collect::<Vec<_>>());
        for entry in &all {
            let is_shared = options.may_share(&entry.reference);
            for digest in entry.indexes.iter().chain([&entry.image]) {
                let facts = self.facts(store, entry, digest)?;
                if is_shared {
                    snapshot.add(digest, entry);
                    facts.blobs.iter().for_each(|blob| snapshot.add(blob, entry));
                    if let Some((subject, referrer)) = &facts.subject {
                        snapshot.refers(subject, referrer);
                    }
                }
                documents.insert(digest.clone(), facts);
            }
            snapshot.count(&entry.image);
        }
        self.documents = documents;
        Ok(snapshot)
    }

    fn facts(&self, store: &Store, entry: &Entry, digest: &Digest) -> Result<Arc<Facts>> {
        if let Some(known) = self.documents.get(digest) {
            return Ok(known.clone());
        }
        let bytes = if *digest == entry.image {
            read(store, digest, &entry.image, MAX_DOCUMENT)?
        } else {
            store.index_bytes(entry, digest)?
        };
        Ok(Arc::new(bytes.map(|bytes| facts(digest, &bytes)).unwrap_or_default()))
    }
}

fn facts(digest: &Digest, bytes: &[u8]) -> Facts {
    let referrer = |media_type: &str, artifact_type: Option<String>, annotations| {
        let mut descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
        descriptor.annotations = annotations;
        Referrer::new(descriptor, artifact_type)
    };
    match Document::parse(bytes, None) {
        Ok(Document::Manifest(manifest)) => {
            let blobs = manifest.blobs().map(|blob| blob.digest.clone()).collect();
            // The spec: an artifact without a type has that of its configuration.
            let artifact_type = manifest.artifact_type.or(Some(manifest.config.media_type));
            let referrer = referrer(&manifest.media_type, artifact_type, manifest.annotations);
            Facts { blobs, subject: manifest.subject.map(|subject| (subject.digest, referrer)) }
        }
        Ok(Document::Index(index)) => {
            let referrer = referrer(&index.media_type, index.artifact_type, index.annotations);
            Facts { blobs: Vec::new(), subject: index.subject.map(|subject| (subject.digest, referrer)) }
        }
        _ => Facts::default(),
    }
}

/// Reads a document of an image. `None`: it is not here, too large, or damaged.
pub(super) fn read(store: &Store, digest: &Digest, image: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some((file, size)) = store.open_content(digest, image)? else { return Ok(None) };
    if size > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|cause| Error::io(format!("cannot read {digest}"), cause))?;
    Ok(digest.verify(&bytes).is_ok().then_some(bytes))
}
