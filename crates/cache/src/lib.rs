//! Decorators: registries that are made of other registries.
//!
//! [`Cached`] answers from a store what it can, and asks the registry within for the rest. [`Fallback`] asks
//! a second registry for what the first does not have. Both know nothing of what they wrap but the trait.

mod absences;
mod cached;
mod fallback;
mod flights;
mod keep;
mod policy;

pub use cached::Cached;
pub use fallback::Fallback;
pub use policy::Policy;
