//! Where things are in a store, below its root; `docs/store.md` describes it.

use hoist_core::{Algorithm, Digest};

/// What a journal is called after its data.
const JOURNAL: &str = ".journal";

/// Where the pool keeps blobs of this algorithm, below the root; a layout has the same place for them.
pub(crate) fn pool_path(algorithm: Algorithm) -> String {
    format!("blobs/{}", algorithm.as_str())
}

/// Where the pool keeps this blob, below the root; a layout has the same place for it.
pub(crate) fn pool_file(digest: &Digest) -> String {
    format!("{}/{}", pool_path(digest.algorithm()), digest.hex())
}

/// Where images whose manifest has a digest of this algorithm are, below the root.
pub(crate) fn images_path(algorithm: Algorithm) -> String {
    format!("images/{}", algorithm.as_str())
}

/// The name of the journal beside an ingest's data of this name.
pub(crate) fn journal_of(data: &str) -> String {
    format!("{data}{JOURNAL}")
}

/// The name of the data that a journal belongs to. `None`: this is not a journal's name.
pub(crate) fn data_of(journal: &str) -> Option<&str> {
    journal.strip_suffix(JOURNAL)
}

/// What should be a blob's digest in hex, in the name of an ingest's data or journal.
pub(crate) fn hex_of(name: &str) -> &str {
    // One that overtook another has a number behind its digest.
    data_of(name).unwrap_or(name).split('+').next().unwrap_or_default()
}
