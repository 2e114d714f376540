//! How long the tests with random input run: `HOIST_FUZZ_CASES` says how many cases each, by default few.

use proptest::prelude::ProptestConfig;

pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("HOIST_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    // What it found is not kept beside the sources: the case is printed, and becomes a test.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
