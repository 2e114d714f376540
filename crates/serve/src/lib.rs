//! Serves the images of a hoist store to other programs: the pull half of the
//! [OCI distribution spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md).
//!
//! [`router`] is for a program that has an axum server already. [`Server`] listens by itself, with limits on connections
//! and time, and a graceful stop.
//!
//! Nothing is served that is not known to be public: see [`ServeOptions`].

mod answer;
mod body;
mod catalog;
mod failure;
mod options;
mod request;
mod router;
mod server;

pub use options::{ServeOptions, ServedStore};
pub use router::router;
pub use server::{Limits, Server, Stopper};
