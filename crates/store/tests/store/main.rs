//! A store, through its public interface.

mod admission;
mod eviction;
mod fsck;
mod images;
mod support;
