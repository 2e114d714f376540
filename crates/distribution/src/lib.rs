//! The simplest remote backend: OCI registries, through the crate [`oci-client`](https://docs.rs/oci-client), formerly
//! `oci-distribution`.
//!
//! It is for a second opinion. `hoist-remote` is faster and can do more, and is the one to use. This backend shares no
//! line with it, so a program that doubts an image can pull it with both and compare. Both store what they fetch in the
//! same store, which verifies every byte.
//!
//! # What is missing
//!
//! - **Credentials and tokens.** It never sends any: `oci-client` would show a password to whatever host a registry
//!   names as its realm. A registry that asks for a token, such as Docker Hub, is
//!   [`Unauthorized`](hoist_core::ErrorKind::Unauthorized).
//! - **Resuming.** The next pull fetches an interrupted blob again from its beginning. There are no range requests.
//! - **Retries.** Each request is made once.
//! - **Proxies.** The environment's proxies are ignored.
//! - **Mirrors**, host directories, and custom certificates. It trusts the authorities of the system, or those
//!   in `SSL_CERT_FILE`.
//! - **An index in an index** fails with [`Unsupported`](hoist_core::ErrorKind::Unsupported).
//! - **Foreign layers.** It fetches layers from the registry only.
//! - **Options for connections and timeouts.** It fetches three blobs of an image at a time.
//! - **Queries without a pull**: tags, and what a reference resolves to.
//! - **Reasons.** `oci-client` reads the body of an error answer without bound, so this backend never lets it.
//!   A `HEAD` request gets the status instead, and the registry's message is lost.
//!
//! It follows redirects anywhere, except from TLS to plain HTTP. Its requests contain no secrets.

mod client;
mod registry;

pub use registry::DistributionRegistry;
