//! The contract that every hoist backend keeps, and the words it is written in.
//!
//! [`ImageRegistry`] is the one trait: given a reference, it puts a verified OCI image layout on this
//! machine's disk and says where ([`PulledImage`]). Backends implement it, decorators wrap it, programs
//! call it. Around it are the parsed forms of the names that images go by ([`Reference`], [`Digest`],
//! [`Platform`]), the documents that describe them ([`Manifest`], [`Index`], [`Descriptor`]), the one
//! [`Error`] type, and the progress [`Event`]s of a pull.
//!
//! This crate does no I/O and knows no runtime. With `hoist-store` it is all that a backend of one's own needs.

mod admission;
mod channel;
mod digest;
mod document;
pub mod error;
mod event;
mod events;
mod platform;
mod reference;
mod registry;
mod resolution;
mod text;

pub use admission::{Admission, Candidate};
pub use channel::Received;
pub use digest::{Algorithm, Digest, Hasher};
pub use document::{Descriptor, Document, Index, MAX_DOCUMENT, Manifest, config_platform, media_type};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Source};
pub use events::Events;
pub use platform::Platform;
pub use reference::Reference;
pub use registry::{ImageRegistry, PulledImage};
pub use resolution::{ImageEntry, Resolution};
