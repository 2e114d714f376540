//! Trying again: how often, and after how long.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hoist_core::{Error, ErrorKind, Result};

/// How often a request is made again. The delays of these come to about two seconds.
const RETRIES: usize = 4;
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// What a registry may ask to wait at the most; beyond that, the caller is told.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Counts the tries of one request.
#[derive(Debug)]
pub(crate) struct Retry {
    tries: usize,
    delays: ExponentialBackoff,
}

impl Retry {
    pub(crate) fn new() -> Self {
        let delays = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LONGEST_DELAY)
            .with_max_times(RETRIES - 1)
            .with_jitter();
        Self { tries: 0, delays: delays.build() }
    }

    /// Waits until it is time to try again: at once after the first failure, then with exponential back-off,
    /// and never sooner than the registry asked for. Fails with the error where trying again is no use.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        if !error.is_transient() {
            return Err(error);
        }
        let asked = match error.kind() {
            ErrorKind::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        self.tries += 1;
        let delay = if self.tries == 1 && !matches!(error.kind(), ErrorKind::RateLimited { .. }) {
            Some(Duration::ZERO)
        } else {
            self.delays.next()
        };
        let Some(delay) = delay.map(|delay| delay.max(asked.unwrap_or_default())) else { return Err(error) };
        if asked > Some(LONGEST_RETRY_AFTER) {
            return Err(error);
        }
        tracing::debug!(error = error.report(), ?delay, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }
}
