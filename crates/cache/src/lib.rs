//! Decorators: registries that are made of other registries.
//!
//! - [`Cached`] answers from a store what its [`Policy`] lets it, and asks the registry within for the rest.
//! - [`Fallback`] asks a second registry for what the first does not have.
//! - [`Limited`] bounds how many pulls there are at once.
//! - [`Observed`] shows what a registry does: spans, metrics, events.
//!
//! They know nothing of what they wrap but the trait, nest in any order, and print themselves:
//! `observed(cached(limited(4, remote)))`.
//!
//! # Features
//!
//! | feature | what it is for |
//! | --- | --- |
//! | `metrics` | counters and histograms, with the crate [`metrics`](https://docs.rs/metrics); off by default |

mod absences;
mod cached;
mod fallback;
mod keep;
mod limited;
mod meter;
mod observed;
mod policy;
mod singleflight;

pub use cached::Cached;
pub use fallback::{Fallback, Tried};
pub use limited::Limited;
#[cfg(feature = "metrics")]
pub use meter::counted;
pub use observed::Observed;
pub use policy::Policy;
