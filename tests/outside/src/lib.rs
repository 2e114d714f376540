//! A backend as somebody outside this workspace would write it, over a protocol that hoist does not know.
//!
//! A *shelf* is asked over TCP, one line a connection: `REPOSITORY NAME`, where the name is a tag or a digest.
//! It answers with a line, `MEDIA-TYPE LENGTH`, and so many bytes; or with `-`, where it has no such thing.
//!
//! [`ShelfRegistry`] is all that it takes to be a registry like any other: it asks, and the store checks what
//! comes. `tests/contract.rs` runs the whole behavioural suite on it.

mod registry;
mod wire;

pub use registry::ShelfRegistry;
