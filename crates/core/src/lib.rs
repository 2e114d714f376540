//! The contract of every hoist backend, and its vocabulary.
//!
//! [`ImageRegistry`] is the central trait: given a reference, it puts a verified OCI image layout on the local
//! disk and returns its path ([`PulledImage`]). Backends implement it, decorators wrap it, and programs call
//! it. Around it are the parsed names of images ([`Reference`], [`Digest`], [`Platform`]), the documents that
//! describe images ([`Manifest`], [`Index`], [`Descriptor`]), the [`Error`] type, and the progress [`Event`]s
//! of a pull.
//!
//! This crate does no I/O and depends on no async runtime. Together with `hoist-store`, it is all that a custom
//! backend needs.

mod admission;
mod digest;
mod document;
pub mod error;
mod event;
mod platform;
mod reference;
mod registry;
mod remote_options;
mod resolution;
mod secret;
mod text;

pub use admission::{Admission, Candidate};
pub use digest::{Algorithm, Digest, Hasher};
pub use document::{
    Descriptor, Document, Index, MAX_DOCUMENT, Manifest, REF_NAME, UnreadableEntry, config_platform,
    json_text, media_type,
};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events, PullEvents, PullId, Received, Source, in_current_pull};
pub use platform::Platform;
pub use reference::Reference;
pub use registry::{ImageRegistry, PulledImage};
#[cfg(feature = "config")]
pub use remote_options::duration;
pub use remote_options::{CredentialKind, Credentials, RemoteOptions};
pub use resolution::{ImageEntry, Resolution};
pub use secret::Secret;
