//! Decorators: registries that are made of other registries.
//!
//! - [`Cached`] answers from a store as far as its [`Policy`] allows, and asks the inner registry for the rest.
//! - [`Fallback`] asks a second registry for images that the first does not have.
//! - [`Limited`] limits the number of concurrent pulls.
//! - [`Observed`] reports the calls of a registry: spans, metrics, events.
//!
//! They wrap any implementation of the trait, nest in any order, and print themselves:
//! `observed(cached(limited(4, remote)))`.
//!
//! # Features
//!
//! | feature | what it is for |
//! | --- | --- |
//! | `metrics` | counters and histograms, with the crate [`metrics`](https://docs.rs/metrics); off by default |

mod cached;
mod fallback;
mod limited;
mod metrics;
mod negative_cache;
mod observed;
mod policy;
mod singleflight;

#[cfg(feature = "metrics")]
pub use crate::metrics::counted;
pub use cached::Cached;
pub use fallback::{Fallback, Tried};
pub use limited::Limited;
pub use observed::Observed;
pub use policy::Policy;
