//! Running the whole suite, and what came of it.

use std::fmt;

use super::ability::Ability;
use super::case::Case;
use super::cases::cases;
use super::harness::Harness;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a broken promise is only seen by those who look"]
pub enum Outcome {
    /// The promise was kept.
    Kept,
    /// The promise was broken; what the case said.
    Broken(String),
    /// The case was not tried, because this ability is missing.
    NotApplicable(Ability),
}

/// What came of all cases on one registry.
#[derive(Debug)]
#[must_use = "a broken promise is only seen by those who look"]
pub struct Report {
    /// The name of the harness.
    pub harness: String,
    /// Each case, in the order of [`cases`].
    pub outcomes: Vec<(&'static Case, Outcome)>,
}

/// Tries every case of the contract, each on a registry that this harness starts for it alone.
pub async fn run_contract(harness: &dyn Harness) -> Report {
    let mut outcomes = Vec::new();
    for case in cases() {
        outcomes.push((case, case.run(harness).await));
    }
    Report { harness: harness.name(), outcomes }
}

impl Report {
    /// The broken promises, each with what its case said.
    pub fn broken(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.outcomes.iter().filter_map(|(case, outcome)| match outcome {
            Outcome::Broken(why) => Some((case.name, why.as_str())),
            _ => None,
        })
    }

    /// Panics with the whole report if a promise was broken.
    #[track_caller]
    pub fn assert_kept(&self) {
        assert!(self.broken().next().is_none(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.harness)?;
        self.outcomes.iter().try_for_each(|(case, outcome)| match outcome {
            Outcome::Kept => writeln!(f, "  kept    {}", case.name),
            Outcome::Broken(why) => writeln!(f, "  BROKEN  {}: {why}", case.name),
            Outcome::NotApplicable(ability) => writeln!(f, "  -       {} (needs {ability:?})", case.name),
        })
    }
}
