//! A store, through its public interface.

mod fsck;
mod images;
mod support;
