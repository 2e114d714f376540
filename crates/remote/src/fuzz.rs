//! How long the tests go on that are named `fuzz_`.

use proptest::test_runner::Config;

/// As many cases as `HOIST_FUZZ_CASES` says, or else some hundred.
pub(crate) fn cases() -> Config {
    let cases = std::env::var("HOIST_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: cases.unwrap_or(200), failure_persistence: None, ..Config::default() }
}
