//! One layer: decompressed, verified, its files' data put on the disk, and its entries kept in memory.

mod decode;
mod entries;
mod insert;
mod path;
mod spool;
mod unpack;
mod xattrs;

pub use self::decode::Decoder;
pub(crate) use self::entries::Entries;
pub use self::spool::Spool;
pub use self::unpack::{Layer, Unpacker};
