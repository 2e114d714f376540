//! A case of the suite: a sentence, what it needs, and how it is tried.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::ability::Ability;
use super::harness::{Harness, Subject};
use super::report::Outcome;

/// One promise of the contract, and how to see whether it is kept.
pub struct Case {
    /// The promise, as a sentence.
    pub name: &'static str,
    /// What a registry and its origin must be able to do for the case to apply.
    pub needs: &'static [Ability],
    pub(super) run: for<'a> fn(&'a Subject) -> BoxFuture<'a, ()>,
}

impl Case {
    /// Whether the case applies to a registry with these abilities.
    pub fn applies_to(&self, abilities: &[Ability]) -> bool {
        self.missing_from(abilities).is_none()
    }

    /// The first ability that the case needs and that is not among these.
    pub fn missing_from(&self, abilities: &[Ability]) -> Option<Ability> {
        self.needs.iter().copied().find(|need| !abilities.contains(need))
    }

    /// Starts a registry and tries the case on it. A panic is a failure, and is caught.
    pub async fn run(&self, harness: &dyn Harness) -> Outcome {
        if let Some(missing) = self.missing_from(&harness.abilities()) {
            return Outcome::NotApplicable(missing);
        }
        let attempt = async {
            let subject = harness.start().await;
            (self.run)(&subject).await;
        };
        match AssertUnwindSafe(attempt).catch_unwind().await {
            Ok(()) => Outcome::Kept,
            Err(panic) => Outcome::Broken(message(&*panic)),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
