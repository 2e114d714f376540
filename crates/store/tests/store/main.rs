//! A store, through its public interface.

mod admission;
mod calls;
mod collecting;
mod eviction;
mod fsck;
mod images;
mod ingests;
mod names;
mod opening;
mod reopening;
mod support;
