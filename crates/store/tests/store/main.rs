//! A store, through its public interface.

mod eviction;
mod fsck;
mod images;
mod support;
