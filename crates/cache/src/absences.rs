//! Absences: what the registry within has said that it does not have, remembered for a short while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_core::{Error, Reference};
use tokio::time::Instant;

/// More than this are not remembered: somebody tries names at random.
const MOST: usize = 1000;
/// No process runs for longer, and no clock need go further.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// References that were not found, each with what was said and until when that holds.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    kept_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: HashMap<Reference, (Instant, Error)>,
    /// How often something was forgotten. What was asked before that is not to be remembered after it.
    forgotten: u64,
}

/// A moment, as far as forgetting goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(u64);

impl Absences {
    /// Remembers each for so long; not at all by default.
    pub(crate) fn kept_for(kept_for: Duration) -> Self {
        Self { kept_for: kept_for.min(LONGEST), state: Mutex::default() }
    }

    /// What was said of this reference, if that still holds.
    pub(crate) fn recall(&self, reference: &Reference) -> Option<Error> {
        if self.kept_for.is_zero() {
            return None;
        }
        let state = self.lock();
        state.said.get(reference).filter(|(until, _)| *until > Instant::now()).map(|(_, error)| error.clone())
    }

    /// To be called before the registry is asked.
    pub(crate) fn asked(&self) -> Asked {
        Asked(self.lock().forgotten)
    }

    /// Remembers what was said, unless something was forgotten since it was asked for.
    pub(crate) fn remember(&self, reference: &Reference, error: &Error, asked: Asked) {
        let now = Instant::now();
        let mut state = self.lock();
        if self.kept_for.is_zero() || state.forgotten != asked.0 {
            return;
        }
        if state.said.len() >= MOST {
            state.said.retain(|_, (until, _)| *until > now);
        }
        if state.said.len() < MOST {
            state.said.insert(reference.clone(), (now + self.kept_for, error.clone()));
        }
    }

    /// Knows nothing of this reference any more.
    pub(crate) fn forget(&self, reference: &Reference) {
        let mut state = self.lock();
        state.said.remove(reference);
        state.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
