//! One direction of a connection: as many bytes in a second as may pass, each of them later by a delay.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much is passed on at a time.
const CHUNK: usize = 64 << 10;
/// How many of these may be on their way: 4 MiB, more than rate and delay can fill.
const ON_THE_WAY: usize = 64;
/// How far a sender may be behind its rate and still make up for it: timers are late by a millisecond or so.
const CREDIT: Duration = Duration::from_millis(5);

/// Looks at what passes.
pub(crate) trait Watch {
    /// Sees the next bytes. With an answer, only so many of them pass, and then the connection ends.
    fn see(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// How a direction is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lane {
    /// Bytes in a second.
    pub(crate) rate: Option<u64>,
    /// How much later what is sent arrives.
    pub(crate) delay: Duration,
    /// How much later than that the first bytes arrive.
    pub(crate) connecting: Duration,
}

/// Whether a direction came to its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Cut,
}

/// Carries all that comes from one side to the other, to the end.
pub(crate) async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    lane: Lane,
    watch: impl Watch,
) -> std::io::Result<End> {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    let (end, ()) = tokio::try_join!(take(from, sender, lane, watch), give(to, receiver))?;
    Ok(end)
}

async fn take(
    mut from: OwnedReadHalf,
    on_the_way: mpsc::Sender<(Instant, Bytes)>,
    lane: Lane,
    mut watch: impl Watch,
) -> std::io::Result<End> {
    let mut connecting = lane.connecting;
    let mut turn = Instant::now();
    loop {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(End::Closed);
        }
        let cut = watch.see(&bytes);
        bytes.truncate(cut.unwrap_or(bytes.len()));
        if let Some(rate) = lane.rate {
            let duration = Duration::from_secs_f64(bytes.len() as f64 / rate as f64);
            turn = turn.max(Instant::now().checked_sub(CREDIT).unwrap_or(turn)) + duration;
            sleep_until(turn).await;
        }
        let due = Instant::now() + lane.delay + std::mem::take(&mut connecting);
        if on_the_way.send((due, bytes.freeze())).await.is_err() || cut.is_some() {
            return Ok(End::Cut);
        }
    }
}

async fn give(
    mut to: OwnedWriteHalf,
    mut on_the_way: mpsc::Receiver<(Instant, Bytes)>,
) -> std::io::Result<()> {
    while let Some((due, bytes)) = on_the_way.recv().await {
        if due > Instant::now() {
            sleep_until(due).await;
        }
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}
