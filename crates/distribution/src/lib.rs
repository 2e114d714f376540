//! The plainest remote backend: OCI registries, asked by the crate
//! [`oci-client`](https://docs.rs/oci-client), which was `oci-distribution`.
//!
//! It is a second opinion. `hoist-remote` is the backend to use: it is faster, and it can do more. This one shares
//! no line with it, so that a program which doubts an image can pull it by both, and compare. All bytes go through the
//! same store, which verifies them.
//!
//! # What is missing
//!
//! - **Credentials and tokens.** None are sent, ever: `oci-client` shows a password to whatever host a registry
//!   names as its realm. A registry that asks for a token, such as Docker Hub, is
//!   [`Unauthorized`](hoist_core::ErrorKind::Unauthorized).
//! - **Resuming.** A blob that broke off is fetched again from its beginning, by the next pull. There are no ranges.
//! - **Retries.** A request is made once.
//! - **Proxies.** None is used, whatever the environment says.
//! - **Mirrors**, the directories that hosts are described in, and certificates of one's own; authorities are those
//!   of the system, or of `SSL_CERT_FILE`.
//! - **An index in an index** is [`Unsupported`](hoist_core::ErrorKind::Unsupported).
//! - **Foreign layers.** A layer comes from the registry or not at all.
//! - **A choice of connections and time limits.** Three blobs of an image come at a time.
//! - **Asking without pulling**: tags, and what a reference is now.
//! - **Reasons.** `oci-client` reads the body of an error without bound, so that it is kept from reading it at all.
//!   The status is learned by a `HEAD` after it, and the registry's own words are lost.
//!
//! Redirects are followed to wherever they lead, but from TLS to plain HTTP. There is nothing secret in what is sent.

mod client;
mod registry;

pub use registry::DistributionRegistry;
