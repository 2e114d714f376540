//! The behavioural suite: the promises of every [`ImageRegistry`](hoist_core::ImageRegistry), as cases that run on any
//! implementation.
//!
//! [`assert_kept`] runs all cases on a backend, in one call. For a test of its own for each case, use [`cases`] with a
//! [`Harness`]. [`run_contract`] returns a [`Report`].

mod ability;
mod backend;
mod case;
mod cases;
mod harness;
mod origin;
mod report;

pub use ability::Ability;
pub use backend::assert_kept;
pub use case::Case;
pub use cases::cases;
pub use harness::{Harness, PLATFORM, Subject};
pub use origin::{LayoutOrigin, Origin};
pub use report::{Outcome, Report, run_contract};
