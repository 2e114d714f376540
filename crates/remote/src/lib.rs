//! The remote backend: images from any OCI or Docker registry, over HTTP.
//!
//! [`RemoteRegistry`] asks the registry for a name's current image, chooses the one for its platform, and fetches the
//! blobs that its store lacks, in ranges over several connections, and hashes them while it writes them. It uses plain
//! http for registries on loopback names, and TLS for all others.
//!
//! The rooms, each of which imports only those below it: `registry`; `manifest` and `sources`; `client`; `auth`;
//! `hosts` and `credentials`; `http`; `tls`.

mod auth;
mod client;
mod credentials;
#[cfg(test)]
mod fuzz;
mod hosts;
mod http;
mod manifest;
mod registry;
mod sources;
mod tls;

pub use credentials::{FoundIn, Keychain, StoredIn};
pub use hoist_core::{Credentials, RemoteOptions};
pub use registry::{Login, RemoteRegistry};
