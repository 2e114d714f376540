//! One of many processes that use a store at once, at random: `churn ROOT SEED STEPS REFERENCE...`.
//!
//! It pulls, removes, collects and leases, and fails where anything but that goes wrong: an operation that others
//! must not be able to disturb, or a leased image that is no longer whole. A line of its output is a wish to its
//! parent, who has the registry: move the tag of this reference.

use std::env;
use std::path::PathBuf;

use hoist::{Config, GcOptions, Hoist, ImageRegistry, Lease, PulledImage, Result};
use hoist_testkit::check_layout;
use hoist_tests::Dice;

/// How many leases are held at once.
const LEASES: usize = 3;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let root = PathBuf::from(arguments.next().expect("a root"));
    let mut number = || arguments.next().and_then(|number| number.parse().ok()).expect("a number");
    let (seed, steps) = (number(), number());
    let hoist = hoist::open(&Config::default().with_root(root)).expect("the store opens");
    let mut process =
        Process { hoist, dice: Dice::new(seed), leased: Vec::new(), references: arguments.collect() };
    for step in 0..steps {
        process.step().await.unwrap_or_else(|why| panic!("step {step} of process {seed}: {why:?}"));
        process.check_leased();
    }
}

struct Process {
    hoist: Hoist,
    dice: Dice,
    leased: Vec<(PulledImage, Lease)>,
    references: Vec<String>,
}

impl Process {
    async fn step(&mut self) -> Result<()> {
        let reference = &self.references[self.dice.below(self.references.len())];
        match self.dice.below(10) {
            0 | 1 => drop(self.hoist.pull(reference).await?),
            2 => drop(self.hoist.force_pull(reference).await?),
            3 | 4 => drop(self.hoist.remove(reference).await?),
            5 => println!("{reference}"),
            6 => drop(self.hoist.store().gc(GcOptions::default().with_all(self.dice.below(2) == 0))?),
            7 => drop((self.hoist.list_cached().await?, self.hoist.resolve(reference).await?)),
            _ if self.leased.len() < LEASES => self.leased.push(self.hoist.pull_leased(reference).await?),
            _ => drop(self.leased.swap_remove(self.dice.below(LEASES))),
        }
        Ok(())
    }

    fn check_leased(&self) {
        for (image, _lease) in &self.leased {
            check_layout(&image.path, &image.digest)
                .unwrap_or_else(|why| panic!("{} is leased, and lost: {why}", image.path.display()));
        }
    }
}
