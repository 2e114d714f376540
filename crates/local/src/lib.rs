//! The local backend: images from a directory that somebody filled with an OCI image layout.
//!
//! [`LocalRegistry`] opens no socket, ever, and has nothing in its tree that could. What is in its directory
//! is what it has; a pull takes it into the store, hashed on the way. [`Archive`] does the same with a tar file.

mod archive;
mod catalog;
mod directory;
mod naming;
mod reach;
mod registry;
mod removal;

pub use archive::Archive;
pub use registry::LocalRegistry;
