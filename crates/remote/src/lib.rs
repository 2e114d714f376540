//! The remote backend: images from any OCI or Docker registry, over HTTP.
//!
//! [`RemoteRegistry`] asks the registry what a name is now, chooses the image for its platform, and fetches
//! what its store lacks of the blobs, in ranges over several connections, hashed while it is written. Registries on loopback
//! names are spoken to in plain http, all others over TLS.

mod addresses;
mod auth;
mod buffers;
mod challenge;
mod client;
mod content_range;
mod credentials;
mod endpoint;
mod fetch;
mod foreign;
#[cfg(test)]
mod fuzz;
mod host;
mod link;
mod manifest;
mod nested;
mod plan;
mod registry;
mod response;
mod retry;
mod shared;
mod tls;
mod transfer;

pub use credentials::Credentials;
pub use registry::RemoteRegistry;
