//! The content store: the only code that writes image content to disk.
//!
//! A [`Store`] is a directory that any number of processes share. It keeps every blob once, and every
//! image as an OCI layout of its own, whose blobs are hard links into the pool. The file system is the
//! database: there is no daemon and no index file. `docs/store.md` describes the format.
//!
//! Content enters in one way only. A [`Staging`] collects what an image needs: it links what the pool
//! has, [`Ingest`]s what has to be fetched (hashing as it is written), and its
//! [`commit`](Staging::commit) publishes the whole image in one rename. What comes back is a [`Lease`],
//! under which [`Store::name`] makes the image known by a reference.

mod account;
mod admission;
mod adopt;
mod blocking;
mod call;
mod collect;
mod copies;
pub mod descriptors;
mod dir;
mod evict;
mod fsck;
mod gc;
mod hash;
mod ingest;
mod layout;
mod lease;
mod leasing;
mod list;
mod lock;
mod names;
mod options;
mod owned;
mod quarantine;
mod record;
mod refs;
mod scratch;
mod space;
mod staging;
mod store;
mod sweep;
mod usage;
mod whole;

pub use blocking::blocking;
pub use call::Call;
pub use fsck::{Checked, Finding, FsckOptions, Problem};
pub use gc::{Collected, Evicted, GcOptions};
pub use ingest::{Claim, Ingest, WriteQueue};
pub use layout::Layout;
pub use lease::Lease;
pub use leasing::Leasing;
pub use options::{Access, Durability, StoreOptions};
pub use owned::owned;
pub use refs::StoredImage;
pub use staging::{Staging, Trust};
pub use store::Store;
pub use usage::{ImageUsage, Usage};
