//! How a store is opened.

use std::time::Duration;

/// A registry that is slow, or asks to wait, keeps a healthy client from a blob for less than this.
const STALL: Duration = Duration::from_mins(2);

/// Whether what is stored survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Data and directories are synced before a name leads to them, so that after any crash or power cut a
    /// reference leads to a whole image or to none.
    #[default]
    Synced,
    /// Nothing is synced. A killed process still loses nothing, but after a power cut an image can be
    /// damaged: only for a store that is thrown away with the machine.
    None,
}

/// The options of a [`Store`](crate::Store).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
#[must_use]
pub struct StoreOptions {
    /// Whether what is stored survives a power cut.
    pub durability: Durability,
    /// How much the store may hold, in bytes of disk space.
    pub max_size: Option<u64>,
    /// How long a blob that another task or process fetches may stand still, before it is fetched here as well.
    pub stall: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { durability: Durability::default(), max_size: None, stall: STALL }
    }
}

impl StoreOptions {
    /// Chooses whether what is stored survives a power cut.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Keeps the store to so many bytes of disk space: after each pull that brought an image, others are
    /// evicted, as by [`GcOptions::with_max_size`](crate::GcOptions::with_max_size). That looks at every file
    /// of the store.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Fetches a blob that another task or process fetches, as soon as that has stood still for so long.
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }
}
