//! A store, through its public interface.
#![allow(
    clippy::single_range_in_vec_init,
    reason = "ranges of a blob are meant, also where there is one of them"
)]

mod admission;
mod arrivals;
mod calls;
mod collecting;
mod derived;
mod eviction;
mod fsck;
mod images;
mod ingests;
mod made;
mod mounts;
mod names;
mod older;
mod opening;
mod reading;
mod reopening;
mod support;
mod surroundings;
