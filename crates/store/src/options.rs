//! Options for opening a store.

use std::time::Duration;

/// Longer than a slow registry, or one that asks clients to wait, keeps a healthy client from a blob.
const STALL: Duration = Duration::from_mins(2);

/// Whether stored data survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Syncs data and directories before a name leads to them. After any crash or power cut, a reference leads
    /// to a whole image or to none.
    #[default]
    Synced,
    /// Syncs nothing. A killed process still loses nothing, but a power cut can damage an image. Use this only
    /// for a store that is discarded together with the machine.
    None,
}

/// Which users can read a store, apart from its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Access {
    /// No other users, because images can be private. A store that was opened to a group before stays open to
    /// it.
    #[default]
    Owner,
    /// The members of the group with this number can read the store: for example the user that a jailed VM runs
    /// as. Only the owner can write. This process's umask applies to new directories and must leave the group
    /// its rights (027, for example).
    Group(u32),
}

/// Options of a [`Store`](crate::Store).
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use]
pub struct StoreOptions {
    /// Whether stored data survives a power cut.
    pub durability: Durability,
    /// The limit on the store's size, in bytes of disk space.
    pub max_size: Option<u64>,
    /// How long to wait for another task or process that fetches a blob and makes no progress, or receives less
    /// than 16 KiB per second. After that, this store fetches the blob as well.
    pub stall: Duration,
    /// Which users can read the store.
    pub access: Access,
    /// Whether the store may be on a network file system.
    pub allow_network_file_system: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            max_size: None,
            stall: STALL,
            access: Access::default(),
            allow_network_file_system: false,
        }
    }
}

impl StoreOptions {
    /// Sets whether stored data survives a power cut.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Limits the store to `bytes` of disk space. After each pull that adds an image, the store evicts others,
    /// as [`GcOptions::with_max_size`](crate::GcOptions::with_max_size) does. This reads the metadata of every
    /// file in the store.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Sets how long another task or process may fetch a blob with little or no progress before this store
    /// fetches the blob as well.
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Sets which users can read the store.
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Sets whether the store may be on a network file system, such as NFS, SMB, 9p or Ceph. The store relies on
    /// locks, which do not reach other hosts there. So allow it only for a store that one host uses.
    pub fn with_network_file_system(self, allow: bool) -> Self {
        Self { allow_network_file_system: allow, ..self }
    }
}
