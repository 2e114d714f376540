//! Tools to test a hoist backend: images made in memory, a mocked registry that can misbehave, and one behavioural
//! suite that checks whether an [`ImageRegistry`](hoist_core::ImageRegistry) keeps its contract.
//!
//! - [`Image`] and [`ImageIndex`] are built from [`Layer`]s, the same bytes from the same parameters each
//!   time. [`write_layout`] puts them in a directory, [`add_to_store`] in a store, [`push`] on a real registry,
//!   [`MockRegistry::publish`] on a mocked one.
//! - [`MockRegistry`] speaks the distribution protocol on a port of its own, counts its requests, and fails on demand:
//!   [`Fault`], [`Auth`], [`Gate`].
//! - [`contract`] is the suite: its cases run on any registry, by one call. [`assert_valid_layout`] is the check that
//!   all of them end with.
//! - [`sources`] is the suite for [`BlobSource`](hoist_fetch::BlobSource)s, with a source in memory that fails on
//!   demand.
//! - [`Home`] is a user's home directory, with docker's credentials and fake credential helpers in it.
//!
//! One call tests a backend:
//!
//! ```no_run
//! use hoist_testkit::contract::{self, Ability, Subject};
//! use hoist_testkit::MockRegistry;
//!
//! # fn my_registry() -> std::sync::Arc<dyn hoist_core::ImageRegistry> { unimplemented!() }
//! async fn my_registry_keeps_the_contract() {
//!     let mine = [Ability::AlwaysAsks, Ability::StartsEmpty, Ability::Removes];
//!     contract::assert_kept("mine", &[MockRegistry::ABILITIES, &mine].concat(), async || {
//!         Subject::new(my_registry(), MockRegistry::start().await)
//!     })
//!     .await;
//! }
//! ```
//!
//! Nothing here sleeps or looks at a clock: a [`Gate`] holds steps that have to happen in a certain order.

#![allow(clippy::missing_panics_doc, reason = "all of it is for tests, which fail by panicking")]

pub mod contract;
mod home;
mod image;
mod layout;
mod mock;
mod push;
mod random;
pub mod sources;
mod stored;
mod validate;

pub use contract::{
    Ability, Case, Harness, LayoutOrigin, Origin, Outcome, PLATFORM, Report, Subject, cases, run_contract,
};
pub use home::{Helper, Home};
pub use image::{Blob, Format, Image, ImageBuilder, ImageIndex, Layer, Publishable, flip_a_bit};
pub use layout::{add_to_layout, remove_from_layout, write_layout};
pub use mock::{Auth, Counts, Fault, Gate, MockRegistry, On, Seen, Tokens, Turnstile};
pub use push::{plain_client, push};
pub use random::random_bytes;
pub use stored::add_to_store;
pub use validate::{assert_valid_layout, check_layout};
