//! The local backend: images from a directory that holds an OCI image layout.
//!
//! [`LocalRegistry`] opens no socket, and none of its dependencies could. It has the images of its directory; a pull
//! copies one into the store, and hashes it on the way. [`Archive`] does the same with a tar file.

mod archive;
mod catalog;
mod export;
mod registry;
mod removal;

pub use archive::Archive;
pub use export::{ArchiveCompression, ArchiveFormat, Export};
pub use registry::LocalRegistry;
