//! The content store: the only code that writes image content to disk.
//!
//! A [`Store`] is a directory that any number of processes share. It keeps every blob once. It keeps every
//! image as an OCI layout of its own, whose blobs are hard links into the pool. The file system is the
//! database: there is no daemon and no index file. `docs/store.md` describes the format.
//!
//! Content enters in one way only. A [`Staging`] collects the blobs of an image: it links those that the pool
//! has, and [`Ingest`]s those that must be fetched, hashing them as it writes them. Its
//! [`commit`](Staging::commit) publishes the whole image in one rename and returns a [`Lease`]. Under that
//! lease, [`Store::name`] makes the image known by a reference.

mod derived;
mod examine;
mod fs;
mod fsck;
mod gc;
mod image;
mod ingest;
mod options;
mod paths;
mod refs;
mod store;

pub use derived::{Derived, DerivedClaim};
pub use examine::{Check, examine};
pub use fs::blocking::blocking;
pub use fs::descriptors;
pub use fsck::{Checked, Finding, FsckOptions, Problem};
pub use gc::usage::{ImageUsage, Usage};
pub use gc::{Collected, Evicted, GcOptions};
pub use image::layout::Layout;
pub use image::staging::{Staging, Verify};
pub use ingest::{Claim, Ingest, WriteQueue};
pub use options::{Access, Durability, StoreOptions};
pub use refs::StoredImage;
pub use refs::arrivals::Arrivals;
pub use refs::entries::{Entries, Entry};
pub use refs::pull::Fetched;
pub use store::Store;
pub use store::arrival::Arrival;
pub use store::call::Call;
pub use store::lease::Lease;
pub use store::leasing::Leasing;
pub use store::owned::owned;
