//! What an image may at most contain. Beyond a limit, the error names the setting.

use std::sync::atomic::{AtomicU64, Ordering};

use hoist_core::{Error, ErrorKind, Result};

/// An entry's names, links and extended attributes count as another entry for each of these bytes, so that the limit of
/// entries bounds the memory.
const BYTES_AS_ENTRY: u64 = 256;

/// Inodes have numbers of 32 bits, and each entry may add one for a layer and one for the image.
const MAX_INODES: u64 = 1 << 30;

/// What an image may at most contain.
///
/// ```
/// let limits = hoist_rootfs::Limits::default().with_max_entries(10_000).with_max_size(1 << 30);
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Files, directories and links of all layers together, including those that other layers replace.
    pub max_entries: u64,
    /// Bytes of all layers together, uncompressed.
    pub max_size: u64,
    /// Bytes of the extended header of one entry, which holds its long names and extended attributes.
    pub max_metadata: u64,
    /// Bytes that a zstd frame may refer back to. Decompressing takes that much memory for each layer at once.
    pub max_window: u64,
}

impl Default for Limits {
    /// Two million entries, 256 GiB, 1 MiB of metadata an entry, and windows of 128 MiB.
    fn default() -> Self {
        Self { max_entries: 2_000_000, max_size: 256 << 30, max_metadata: 1 << 20, max_window: 128 << 20 }
    }
}

impl Limits {
    /// Sets the maximum number of files, directories and links.
    #[must_use]
    pub fn with_max_entries(self, max_entries: u64) -> Self {
        Self { max_entries, ..self }
    }

    /// Sets the maximum number of uncompressed bytes.
    #[must_use]
    pub fn with_max_size(self, max_size: u64) -> Self {
        Self { max_size, ..self }
    }

    /// Sets the maximum number of bytes of one entry's extended header.
    #[must_use]
    pub fn with_max_metadata(self, max_metadata: u64) -> Self {
        Self { max_metadata, ..self }
    }

    /// Sets the maximum number of bytes that a zstd frame may refer back to.
    #[must_use]
    pub fn with_max_window(self, max_window: u64) -> Self {
        Self { max_window, ..self }
    }
}

/// What all layers of an image have used of its limits.
#[derive(Debug, Default)]
pub struct Budget {
    limits: Limits,
    entries: AtomicU64,
    size: AtomicU64,
}

impl Budget {
    /// Nothing is used yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts an entry with so many bytes of names and attributes.
    pub(crate) fn add_entry(&self, bytes: usize) -> Result<()> {
        let count = 1 + bytes as u64 / BYTES_AS_ENTRY;
        let limit = self.limits.max_entries.min(MAX_INODES);
        if self.entries.fetch_add(count, Ordering::Relaxed).saturating_add(count) > limit {
            return Err(too_large(format!("the image has more than {limit} entries"), "max_entries"));
        }
        Ok(())
    }

    /// Counts uncompressed bytes.
    pub(crate) fn add_bytes(&self, bytes: u64) -> Result<()> {
        let limit = self.limits.max_size;
        let used = self
            .size
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_add(bytes)));
        if used.unwrap_or_default().saturating_add(bytes) > limit {
            return Err(too_large(format!("the image's layers have more than {limit} bytes"), "max_size"));
        }
        Ok(())
    }
}

/// An error that names the limit to raise.
pub(crate) fn too_large(message: String, setting: &str) -> Error {
    Error::new(ErrorKind::TooLarge, message).with_help(format!(
        "if the image is to be trusted, raise the limit `{setting}` of the root file system"
    ))
}
