//! What the tests of a hoist backend need: images made in memory, a mocked registry that can misbehave,
//! and one behavioural suite that says whether an [`ImageRegistry`](hoist_core::ImageRegistry) keeps its
//! contract.
//!
//! - [`Image`] and [`ImageIndex`] are built from [`Layer`]s, the same bytes from the same parameters each
//!   time. [`write_layout`] puts them in a directory, [`push`] on a real registry,
//!   [`MockRegistry::publish`] on a mocked one.
//! - [`MockRegistry`] speaks the distribution protocol on a port of its own, counts what it is asked for,
//!   and breaks as it is told to: [`Fault`], [`Auth`], [`Gate`].
//! - [`run_contract`] runs every [`Case`] of the suite on what a [`Harness`] starts. [`assert_valid_layout`]
//!   is the check that all of them end with.
//!
//! Whoever writes a backend needs a harness of a dozen lines:
//!
//! ```
//! use std::sync::Arc;
//!
//! use hoist_core::ImageRegistry;
//! use hoist_testkit::{Ability, Harness, MockRegistry, Subject, run_contract};
//!
//! struct Mine;
//!
//! # fn my_registry() -> Arc<dyn ImageRegistry> { unimplemented!() }
//! #[async_trait::async_trait]
//! impl Harness for Mine {
//!     fn name(&self) -> String {
//!         "mine".to_owned()
//!     }
//!
//!     fn abilities(&self) -> Vec<Ability> {
//!         [MockRegistry::ABILITIES, &[Ability::AlwaysAsks, Ability::StartsEmpty, Ability::Removes]].concat()
//!     }
//!
//!     async fn start(&self) -> Subject {
//!         Subject::new(my_registry(), MockRegistry::start().await)
//!     }
//! }
//!
//! async fn my_registry_keeps_the_contract() {
//!     run_contract(&Mine).await.assert_kept();
//! }
//! ```
//!
//! Nothing here sleeps or looks at a clock: what has to happen in a certain order is held by a [`Gate`].

#![allow(clippy::missing_panics_doc, reason = "all of it is for tests, which fail by panicking")]

mod blob;
mod contract;
mod image;
mod index;
mod layer;
mod layout;
mod mock;
mod origin;
mod publishable;
mod push;
mod random;
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
pub use validate::{assert_valid_layout, check_layout};
