//! What the tests of a hoist backend need: images made in memory, a mocked registry that can misbehave,
//! and one behavioural suite that says whether an [`ImageRegistry`](hoist_core::ImageRegistry) keeps its
//! contract.
//!
//! - [`Image`] and [`ImageIndex`] are built from [`Layer`]s, the same bytes from the same parameters each
//!   time. [`write_layout`] puts them in a directory, [`add_to_store`] in a store, [`push`] on a real registry,
//!   [`MockRegistry::publish`] on a mocked one.
//! - [`MockRegistry`] speaks the distribution protocol on a port of its own, counts what it is asked for,
//!   and breaks as it is told to: [`Fault`], [`Auth`], [`Gate`].
//! - [`contract`] is the suite: its cases run on any registry, by one call. [`assert_valid_layout`] is the check that
//!   all of them end with.
//! - [`sources`] is the suite for [`BlobSource`](hoist_fetch::BlobSource)s, with a source in memory that goes wrong as it
//!   is told to.
//!
//! Whoever writes a backend needs one call:
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
//! Nothing here sleeps or looks at a clock: what has to happen in a certain order is held by a [`Gate`].

#![allow(clippy::missing_panics_doc, reason = "all of it is for tests, which fail by panicking")]

mod blob;
pub mod contract;
mod image;
mod index;
mod layer;
mod layout;
mod mock;
mod origin;
mod publishable;
mod push;
mod random;
pub mod sources;
mod stored;
mod validate;

pub use blob::{Blob, flip_a_bit};
pub use contract::{Ability, Case, Harness, Outcome, PLATFORM, Report, Subject, cases, run_contract};
pub use image::{Format, Image, ImageBuilder};
pub use index::ImageIndex;
pub use layer::Layer;
pub use layout::{add_to_layout, remove_from_layout, write_layout};
pub use mock::{Auth, Counts, Fault, Gate, MockRegistry, On, Seen, Tokens, Turnstile};
pub use origin::{LayoutOrigin, Origin};
pub use publishable::Publishable;
pub use push::{plain_client, push};
pub use random::random_bytes;
pub use stored::add_to_store;
pub use validate::{assert_valid_layout, check_layout};
