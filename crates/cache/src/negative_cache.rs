//! The negative cache: remembers for a short while which references the inner registry does not have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_core::{Error, Reference};
use tokio::time::Instant;

/// The maximum number of references: beyond it, a program is trying names at random.
const MOST: usize = 1000;
/// The longest time that a reference is kept. No process runs for longer, and clocks cannot add any larger time.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// References that were not found, each with its error and the time at which it expires.
#[derive(Debug, Default)]
pub(crate) struct NegativeCache {
    kept_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    errors: HashMap<Reference, (Instant, Error)>,
    /// How often a reference was forgotten. A request that began before must not be remembered after it.
    forgotten: u64,
}

/// When a request began, counted in forgotten references.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(u64);

impl NegativeCache {
    /// Remembers each reference for this time; the default is not at all.
    pub(crate) fn kept_for(kept_for: Duration) -> Self {
        Self { kept_for: kept_for.min(LONGEST), state: Mutex::default() }
    }

    /// The error for this reference, unless it has expired.
    pub(crate) fn recall(&self, reference: &Reference) -> Option<Error> {
        if self.kept_for.is_zero() {
            return None;
        }
        let state = self.lock();
        state
            .errors
            .get(reference)
            .filter(|(until, _)| *until > Instant::now())
            .map(|(_, error)| error.clone())
    }

    /// Call this before the request to the registry.
    pub(crate) fn asked(&self) -> Asked {
        Asked(self.lock().forgotten)
    }

    /// Remembers an error, unless a reference was forgotten since the request began.
    pub(crate) fn remember(&self, reference: &Reference, error: &Error, asked: Asked) {
        let now = Instant::now();
        let mut state = self.lock();
        if self.kept_for.is_zero() || state.forgotten != asked.0 {
            return;
        }
        if state.errors.len() >= MOST {
            state.errors.retain(|_, (until, _)| *until > now);
        }
        if state.errors.len() < MOST {
            state.errors.insert(reference.clone(), (now + self.kept_for, error.clone()));
        }
    }

    /// Forgets this reference.
    pub(crate) fn forget(&self, reference: &Reference) {
        let mut state = self.lock();
        state.errors.remove(reference);
        state.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
