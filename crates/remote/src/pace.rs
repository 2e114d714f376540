//! Whether an answer gets on: slowness has no end that a time limit for reading would see.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

/// Slower than this, in bytes a second, a connection counts as silent.
const TRICKLE: u64 = 1 << 10;

/// How an answer gets on, looked at after each span of time.
#[derive(Debug)]
pub(crate) struct Pace {
    span: Duration,
    pub(crate) began: Instant,
    /// When the span ends.
    pub(crate) deadline: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(span: Duration) -> Self {
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

    /// The next part of an answer. `None`: it does not get on.
    pub(crate) async fn chunk(&mut self, answer: &mut Response) -> Option<reqwest::Result<Option<Bytes>>> {
        loop {
            match timeout_at(self.deadline, answer.chunk()).await {
                Ok(chunk) => {
                    self.came(chunk.as_ref().ok().and_then(Option::as_ref).map_or(0, Bytes::len));
                    return Some(chunk);
                }
                Err(_) if self.goes_on() => {}
                Err(_) => return None,
            }
        }
    }
}
