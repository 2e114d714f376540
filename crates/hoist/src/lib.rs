//! Puts container images on this machine's disk, as verified OCI image layouts.
//!
//! A program needs this crate alone. [`open`] takes a [`Config`] and gives a [`Hoist`]: a stack of backends
//! over one store, which is itself an [`ImageRegistry`] and prints as what it is made of. The backends and
//! decorators themselves are here too, for a stack that a configuration cannot say; and everything that a custom
//! backend needs, also without any feature.
//!
//! ```no_run
//! use hoist::{Config, ImageRegistry};
//!
//! # async fn run() -> hoist::Result<()> {
//! let config = Config::default().with_root("/var/lib/vms/images").with_local("/srv/images");
//! let hoist = hoist::open(&config)?;
//! assert_eq!(hoist.to_string(), "cached(fallback(local(/srv/images), remote))");
//!
//! // The image stays on the disk as long as the lease is held, even if it is removed meanwhile.
//! let (image, lease) = hoist.pull_leased("nginx:1.27").await?;
//! println!("{} is in {}", image.reference, image.path.display());
//! # drop(lease);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! All features but `metrics` and `distribution` are on by default. A call that needs a missing feature fails with
//! [`Unsupported`](ErrorKind::Unsupported), and names the feature.
//!
//! | feature | purpose |
//! | --- | --- |
//! | `remote` | OCI and Docker registries, over HTTP |
//! | `distribution` | the same registries by another client, for a second opinion: [`RemoteClient::OciClient`] |
//! | `local` | OCI image layout directories; with `remote` off, there is no HTTP and no TLS in the tree |
//! | `cache` | the decorators: a cache, a fallback to a second source, a limit on pulls, spans |
//! | `metrics` | counts pulls, bytes, hits and evictions with the crate `metrics`, if [`Config::observe`] is set |
//! | `oci-spec` | [`Hoist::image_config`], in the types of that crate |
//! | `rootfs` | [`Hoist::root_fs`]: bootable root file systems, as EROFS or ext4 images |
//! | `serve` | [`Hoist::server`]: the images of the store for other programs, as a registry that can be pulled from |
//! | `blocking` | a front for programs that have no async runtime: [`blocking`] |

mod backend;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod config;
mod doctor;
mod export;
mod hoist;
#[cfg(feature = "oci-spec")]
mod image_config;
mod lookup;
mod root;
#[cfg(feature = "rootfs")]
mod root_fs;
#[cfg(feature = "serve")]
pub mod serve;

pub use hoist_core::{
    Admission, Algorithm, Candidate, CredentialKind, Credentials, Descriptor, Digest, Document, Error,
    ErrorKind, Event, Events, Hasher, ImageEntry, ImageRegistry, Index, MAX_DOCUMENT, Manifest, Platform,
    PullEvents, PullId, PulledImage, REF_NAME, Received, Reference, RemoteOptions, Resolution, Result,
    Secret, Source, config_platform, in_current_pull, media_type,
};
pub use hoist_store::{
    Access, Call, Check, Checked, Claim, Collected, Durability, Evicted, Fetched, Finding, FsckOptions,
    GcOptions, ImageUsage, Ingest, Layout, Lease, Leasing, Problem, Staging, Store, StoreOptions,
    StoredImage, Usage, Verify, WriteQueue, owned,
};

#[cfg(feature = "cache")]
pub use hoist_cache::{Cached, Fallback, Limited, Observed, Policy, Tried};
#[cfg(feature = "distribution")]
pub use hoist_distribution::DistributionRegistry;
#[cfg(feature = "local")]
pub use hoist_local::{Archive, ArchiveCompression, ArchiveFormat, Export, LocalRegistry};
#[cfg(feature = "remote")]
pub use hoist_remote::{FoundIn, Keychain, Login, RemoteRegistry, StoredIn};
#[cfg(feature = "rootfs")]
pub use hoist_rootfs::{AddedFile, Format, Limits, RootFsOptions, Verity, write_scratch};

pub use crate::backend::SourceContext;
pub use crate::builder::{Builder, open, open_with_events};
pub use crate::config::{
    AdmissionConfig, CacheConfig, CachePolicy, Config, LocalConfig, NamePattern, RemoteClient, RemoteConfig,
    ServeConfig,
};
#[cfg(feature = "oci-spec")]
pub use oci_spec;

pub use crate::hoist::Hoist;
pub use crate::root::default_root;
#[cfg(feature = "rootfs")]
pub use crate::root_fs::{Process, RootFs};

/// The READMEs' examples compile: the project's, where this is in its repository, and this crate's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
