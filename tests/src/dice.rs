//! Chance that is the same in each run, until `HOIST_SEED` makes another.

use std::env;

use hoist_testkit::random_bytes;

/// A sequence of numbers that cannot be guessed, but repeated.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those of this trial.
    ///
    /// # Panics
    ///
    /// If `HOIST_SEED` is no number.
    pub fn new(trial: u64) -> Self {
        let seed: u64 =
            env::var("HOIST_SEED").map_or(0, |seed| seed.parse().expect("HOIST_SEED is a number"));
        Self(seed.rotate_left(32) ^ trial)
    }

    /// The next number: one of so many.
    ///
    /// # Panics
    ///
    /// If `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let bytes = random_bytes(8, self.0).try_into().expect("eight bytes");
        self.0 = u64::from_le_bytes(bytes);
        usize::try_from(self.0 % end as u64).expect("64 bits")
    }

    /// Puts things in any order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (2..=things.len()).rev() {
            things.swap(end - 1, self.below(end));
        }
    }
}
