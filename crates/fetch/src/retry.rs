//! Trying a request again: how often, and after how long.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hoist_core::{Error, ErrorKind, Result};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// What a registry may ask to wait at the most; beyond that, the caller is told.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Counts the tries of one request.
#[derive(Debug)]
pub struct Retry {
    left: usize,
    is_first: bool,
    delays: ExponentialBackoff,
}

impl Retry {
    /// A request that may be made again up to `retries` times.
    pub fn new(retries: usize) -> Self {
        let delays = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LONGEST_DELAY)
            .with_max_times(retries)
            .with_jitter();
        Self { left: retries, is_first: true, delays: delays.build() }
    }

    /// Waits until it is time to try again: at once after the first failure, then with exponential back-off,
    /// and never sooner than the registry asked for. Fails with the error where trying again is no use.
    pub async fn after(&mut self, error: Error) -> Result<()> {
        if !error.is_transient() {
            return Err(error);
        }
        let asked = match error.kind() {
            ErrorKind::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        let at_once = self.is_first && !matches!(error.kind(), ErrorKind::RateLimited { .. });
        let delay = if at_once { Some(Duration::ZERO) } else { self.delays.next() };
        let Some(delay) = delay.filter(|_| self.left > 0 && asked <= Some(LONGEST_RETRY_AFTER)) else {
            return Err(error);
        };
        (self.left, self.is_first) = (self.left - 1, false);
        let delay = delay.max(asked.unwrap_or_default());
        tracing::debug!(error = error.report(), ?delay, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }
}
