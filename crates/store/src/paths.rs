//! The paths of everything in a store, relative to its root. `docs/store.md` describes them.

use hoist_core::{Algorithm, Digest};

/// The suffix of a journal's name, after the name of its data.
const JOURNAL: &str = ".journal";

/// The pool's directory for blobs of this algorithm, relative to the root. A layout keeps its blobs at the same
/// path.
pub(crate) fn pool_path(algorithm: Algorithm) -> String {
    format!("blobs/{}", algorithm.as_str())
}

/// The path of this blob in the pool, relative to the root. A layout keeps the blob at the same path.
pub(crate) fn pool_file(digest: &Digest) -> String {
    format!("{}/{}", pool_path(digest.algorithm()), digest.hex())
}

/// The directory of the images whose manifest digest has this algorithm, relative to the root.
pub(crate) fn images_path(algorithm: Algorithm) -> String {
    format!("images/{}", algorithm.as_str())
}

/// The directory of the content of one kind that was made from images whose manifest digest has this algorithm, relative
/// to the root.
pub(crate) fn derived_path(kind: &str, algorithm: Algorithm) -> String {
    format!("derived/{kind}/{}", algorithm.as_str())
}

/// The name of the journal that belongs to an ingest's data file of this name.
pub(crate) fn journal_of(data: &str) -> String {
    format!("{data}{JOURNAL}")
}

/// The name of the data file that a journal belongs to. `None`: this is not a journal's name.
pub(crate) fn data_of(journal: &str) -> Option<&str> {
    journal.strip_suffix(JOURNAL)
}

/// The part of an ingest's file name (data or journal) that should be the blob's digest in hex.
pub(crate) fn hex_of(name: &str) -> &str {
    // The file of an ingest that overtook another one has `+` and a number after the digest.
    data_of(name).unwrap_or(name).split('+').next().unwrap_or_default()
}
