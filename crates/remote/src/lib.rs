//! The remote backend: images from any OCI or Docker registry, over HTTP.
//!
//! [`RemoteRegistry`] asks the registry what a name is now, chooses the image for its platform, and fetches
//! the blobs that its store lacks, several at a time, hashed while they are written. Registries on loopback
//! names are spoken to in plain http, all others over TLS.

mod auth;
mod challenge;
mod client;
mod credentials;
mod endpoint;
mod fetch;
mod manifest;
mod registry;
mod response;
mod retry;
mod tls;

pub use credentials::Credentials;
pub use registry::RemoteRegistry;
