//! When a cache answers by itself, and when it asks.

use std::fmt;
use std::time::{Duration, SystemTime};

/// When a [`Cached`](crate::Cached) answers a pull by tag from its store. A digest says what the content is, so
/// that one that is here is never asked for again, under any policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// Whenever the image is here. What a tag has moved to is seen by a
    /// [`force_pull`](hoist_core::ImageRegistry::force_pull) only.
    #[default]
    IfNotPresent,
    /// Never without asking what the tag is now: one request, a `HEAD`, where nothing has moved. It is the registry
    /// within that asks; one that answers from a cache of its own does not.
    Always,
    /// If the store has the image. Any other image is [`NotFound`](hoist_core::ErrorKind::NotFound): no registry is
    /// ever asked.
    Never,
    /// Where the image is here, and what its tag is was confirmed by the registry no longer ago than this; else it is
    /// asked, as by [`Always`](Self::Always). The time is kept in the store, to the second, and is that of this
    /// machine's clock; where that was turned back, the registry is asked.
    NewerThan(Duration),
}

impl Policy {
    /// Whether a tag that was last confirmed at this time is answered without asking.
    pub(crate) fn trusts(self, confirmed: SystemTime) -> bool {
        match self {
            Self::IfNotPresent | Self::Never => true,
            Self::Always => false,
            Self::NewerThan(age) => {
                SystemTime::now().duration_since(confirmed).is_ok_and(|since| since < age)
            }
        }
    }

    /// Whether what was last confirmed at this time has to be noted as confirmed now, once it is.
    pub(crate) fn ages(self, confirmed: SystemTime) -> bool {
        matches!(self, Self::NewerThan(_)) && !self.trusts(confirmed)
    }
}

/// As in a configuration: `if-not-present`, `always`, `never`, and `newer-than 3600s`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IfNotPresent => f.write_str("if-not-present"),
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::NewerThan(age) => write!(f, "newer-than {age:?}"),
        }
    }
}
