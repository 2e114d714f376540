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

/// Who may look into a store, beside its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Access {
    /// Nobody: images can be private. A store that was opened to a group stays so.
    #[default]
    Owner,
    /// Those of this group, by its number, may read, such as the user that a jailed VM runs as; nobody but the owner
    /// writes. Directories are made as this process's umask has it, which must leave the group its rights (027, say).
    Group(u32),
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
    /// How long a blob that another task or process fetches may stand still, or get less than 16 KiB a second, before it is
    /// fetched here as well.
    pub stall: Duration,
    /// Who may look into the store.
    pub access: Access,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { durability: Durability::default(), max_size: None, stall: STALL, access: Access::default() }
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

    /// Fetches a blob that another task or process fetches, as soon as that has stood still, or next to, for so long.
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Chooses who may look into the store.
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }
}
