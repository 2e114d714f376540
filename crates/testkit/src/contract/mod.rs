//! The behavioural suite: what every [`ImageRegistry`](hoist_core::ImageRegistry) promises, as cases that
//! run on any of them.

mod ability;
mod case;
mod cases;
mod harness;
mod report;

pub use ability::Ability;
pub use case::Case;
pub use cases::cases;
pub use harness::{Harness, PLATFORM, Subject};
pub use report::{Outcome, Report, run_contract};
