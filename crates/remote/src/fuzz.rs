//! The number of random cases in the tests that are named `fuzz_`.

use proptest::test_runner::Config;

/// `HOIST_FUZZ_CASES` cases, or else 200.
pub(crate) fn cases() -> Config {
    let cases = std::env::var("HOIST_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: cases.unwrap_or(200), failure_persistence: None, ..Config::default() }
}
