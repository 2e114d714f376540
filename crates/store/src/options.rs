//! How a store is opened.

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
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
#[must_use]
pub struct StoreOptions {
    /// Whether what is stored survives a power cut.
    pub durability: Durability,
    /// How much the store may hold, in bytes of disk space.
    pub max_size: Option<u64>,
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
}
