//! Whether an answer gets on: slowness has no end that a time limit for reading would see.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Slower than this, in bytes a second, a connection counts as silent.
const TRICKLE: u64 = 1 << 10;

/// Looks after each span of time whether an answer got on in it.
#[derive(Debug)]
pub struct StallDetector {
    span: Duration,
    pub(crate) began: Instant,
    /// When the span ends.
    pub(crate) deadline: Instant,
    bytes: u64,
}

impl StallDetector {
    /// An answer has to bring more than 1 KiB a second in each span of this length.
    pub fn new(span: Duration) -> Self {
        let began = Instant::now();
        Self { span, began, deadline: began + span, bytes: 0 }
    }

    /// So much has come.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether enough has come in the span that is over; begins the next.
    pub(crate) fn goes_on(&mut self) -> bool {
        let goes_on = self.bytes > TRICKLE * self.span.as_secs();
        (self.deadline, self.bytes) = (Instant::now() + self.span, 0);
        goes_on
    }

    /// Waits for the next part of an answer, of which `len` tells the bytes. `None`: the answer has stalled.
    pub async fn next<T>(
        &mut self,
        part: impl Future<Output = T>,
        len: impl FnOnce(&T) -> usize,
    ) -> Option<T> {
        let mut part = std::pin::pin!(part);
        loop {
            match timeout_at(self.deadline, part.as_mut()).await {
                Ok(part) => {
                    self.came(len(&part));
                    return Some(part);
                }
                Err(_) if self.goes_on() => {}
                Err(_) => return None,
            }
        }
    }
}
