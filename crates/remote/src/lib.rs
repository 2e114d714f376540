//! The remote backend: images from any OCI or Docker registry, over HTTP.
//!
//! [`RemoteRegistry`] asks the registry what a name is now, chooses the image for its platform, and fetches
//! what its store lacks of the blobs, in ranges over several connections, hashed while it is written. Registries on loopback
//! names are spoken to in plain http, all others over TLS.

mod auth;
mod client;
mod credentials;
mod foreign;
#[cfg(test)]
mod fuzz;
mod hosts;
mod http;
mod login;
mod manifest;
mod nested;
mod registry;
mod source;
mod tls;

pub use credentials::{Credentials, FoundIn, Keychain, StoredIn};
pub use login::Login;
pub use registry::RemoteRegistry;
