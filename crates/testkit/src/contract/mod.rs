//! The behavioural suite: what every [`ImageRegistry`](hoist_core::ImageRegistry) promises, as cases that
//! run on any of them.
//!
//! [`assert_kept`] runs them all on a backend, in one call. Who wants a test for each case goes through [`cases`] with a
//! [`Harness`]; [`run_contract`] gives a [`Report`] to look at.

mod ability;
mod backend;
mod case;
mod cases;
mod harness;
mod report;

pub use ability::Ability;
pub use backend::assert_kept;
pub use case::Case;
pub use cases::cases;
pub use harness::{Harness, PLATFORM, Subject};
pub use report::{Outcome, Report, run_contract};
