//! Answers to requests, a file for each kind.

mod blob;
mod conditions;
mod manifest;
mod referrers;
mod tags;

pub(crate) use blob::{Files, blob};
pub(crate) use manifest::{Documents, manifest};
pub(crate) use referrers::referrers;
pub(crate) use tags::tags;
