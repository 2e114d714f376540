//! Fetching what an image's blobs lack: one plan for all of them, worked off by several connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use hoist_core::{Descriptor, ErrorKind, Event, Events, Result, Source};
use hoist_store::{Claim, Ingest, Staging, WriteQueue};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::host::{Host, Slot};
use crate::hosts::Route;
use crate::plan::{Piece, Plan};
use crate::retry::Retry;
use crate::sources::Sources;

/// How often a connection that is idle looks whether another has become slow.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How many blobs are open at once for each connection: one comes while another is being verified.
const OPEN_BLOBS: usize = 2;
/// What of a pull's budget a failed try costs. Bytes that come pay it back.
const PRICE_OF_A_TRY: u64 = 1 << 20;

/// The fetching of one image's blobs.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    pub(crate) client: &'a Client,
    pub(crate) route: &'a Route,
    pub(crate) sources: Sources,
    events: &'a Events,
    pub(crate) host: Arc<Host>,
    pub(crate) blobs: Vec<&'a Descriptor>,
    state: Mutex<State>,
    /// There is more to do, or a blob is written.
    changed: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) plan: Plan,
    queues: HashMap<usize, WriteQueue>,
    /// What is left to be spent on tries that bring nothing, in bytes.
    budget: u64,
}

impl<'a> Fetch<'a> {
    /// The fetching of these blobs, in this order.
    pub(crate) fn new(
        client: &'a Client,
        route: &'a Route,
        events: &'a Events,
        blobs: impl Iterator<Item = &'a Descriptor>,
    ) -> Self {
        let blobs: Vec<_> = blobs.collect();
        let plan =
            Plan::new(client.connections, blobs.iter().fold(0, |sum, blob| blob.size.saturating_add(sum)));
        let state = State { plan, queues: HashMap::new(), budget: most_tries(client) };
        let (host, sources) = (client.host(route), Sources::default());
        let (state, changed) = (Mutex::new(state), Notify::new());
        Self { client, route, sources, events, host, blobs, state, changed }
    }

    /// Brings all blobs into the image: from the pool, or from the registry. `check` is called with each one
    /// that is there.
    pub(crate) async fn run(
        &self,
        staging: &Staging,
        check: impl Fn(&Descriptor) -> Result<()>,
    ) -> Result<()> {
        let check = &check;
        let blobs = (0..self.blobs.len()).map(|place| async move {
            self.bring(staging, place).await?;
            check(self.blobs[place])
        });
        // A stream must not borrow through a closure's argument, hence the collected futures.
        let blobs: Vec<_> = blobs.collect();
        let blobs = stream::iter(blobs).buffer_unordered(OPEN_BLOBS * self.client.connections);
        let blobs = std::pin::pin!(blobs.try_collect::<()>());
        let mut workers: FuturesUnordered<_> = (0..self.client.connections).map(|_| self.work()).collect();
        match future::select(blobs, workers.try_next()).await {
            Either::Left((done, _)) => done,
            Either::Right((Err(error), _)) => Err(error),
            Either::Right((Ok(Some(never)), _)) => match never {},
            Either::Right((Ok(None), blobs)) => blobs.await,
        }
    }

    /// Brings one blob into the image. One that was put together from parts, or went on from what an earlier
    /// pull had left, or came from a mirror, and turns out wrong, is fetched once more, whole, from another host
    /// where there is one: no digest says which part was wrong.
    async fn bring(&self, staging: &Staging, place: usize) -> Result<()> {
        let blob = self.blobs[place];
        let mut in_parts = self.host.has_ranges();
        loop {
            let claim = staging.claim(blob).await?;
            self.state().plan.found(blob.size);
            let Claim::Fetch(ingest) = claim else {
                self.events.emit(|| Event::BlobFound { digest: blob.digest.clone(), size: blob.size });
                return Ok(());
            };
            let resumed = ingest.is_resumed();
            let pieces = self.fetch(place, &ingest, in_parts).await;
            match ingest.commit().await {
                Err(error)
                    if *error.kind() == ErrorKind::DigestMismatch
                        && (self.sources.blame(place, self.route.origin_place())
                            || resumed
                            || pieces > 1) =>
                {
                    tracing::warn!(digest = %blob.digest, "a blob is wrong; fetching it again, whole");
                    in_parts = false;
                }
                outcome => {
                    outcome?;
                    self.events.emit(|| Event::BlobVerified { digest: blob.digest.clone() });
                    return Ok(());
                }
            }
        }
    }

    /// Has what is missing of a blob fetched; says in how many pieces.
    async fn fetch(&self, place: usize, ingest: &Ingest, in_parts: bool) -> usize {
        let Descriptor { digest, size, .. } = self.blobs[place];
        let missing = ingest.missing();
        tracing::info!(%digest, size, resumed = ingest.is_resumed(), "fetching a blob");
        self.events.emit(|| Event::BlobStarted { digest: digest.clone(), size: *size });
        self.progress(place, size - missing.iter().map(|gap| gap.end - gap.start).sum::<u64>(), || {
            Source::Store
        });
        {
            let mut state = self.state();
            state.plan.add(place, missing, in_parts);
            state.queues.insert(place, ingest.queue().clone());
        }
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            if self.state().plan.is_written(place) {
                break;
            }
            changed.await;
        }
        let mut state = self.state();
        state.queues.remove(&place);
        state.plan.remove(place)
    }

    /// What one connection does, until all blobs are there.
    async fn work(&self) -> Result<Infallible> {
        loop {
            let changed = self.changed.notified();
            if !self.state().plan.has_work(Instant::now()) {
                _ = timeout(LOOK_AGAIN, changed).await;
                continue;
            }
            let slot = self.host.enter().await;
            let piece = self.state().plan.take(Instant::now());
            if let Some(piece) = piece {
                self.carry(&piece, slot).await?;
                self.state().plan.land(&piece, Instant::now());
            }
        }
    }

    /// Brings a piece. A broken connection costs only what it had not brought yet.
    async fn carry<'b>(&'b self, piece: &Piece, mut slot: Slot<'b>) -> Result<()> {
        let mut retry = Retry::new(self.client.retries);
        loop {
            let before = self.state().plan.brought(piece);
            let outcome = self.transfer(piece).await;
            drop(slot);
            let error = match outcome {
                Ok(()) => return Ok(()),
                // What others bring by now need not be asked for again; but all that came has to be written.
                Err(error) if error.is_transient() && self.state().plan.to_come(piece).is_none() => {
                    return Ok(());
                }
                Err(error) => error,
            };
            if self.state().plan.brought(piece) > before {
                retry = Retry::new(self.client.retries); // it does get on
            } else if !self.state().spend_a_try() {
                return Err(error);
            }
            retry.after(error).await?;
            slot = self.host.enter().await;
        }
    }

    /// Hands over what came of a blob, as far as the piece is to bring it.
    pub(crate) async fn take_in(
        &self,
        piece: &Piece,
        host: usize,
        offset: u64,
        bytes: &bytes::Bytes,
    ) -> Result<()> {
        let came = offset..offset + bytes.len() as u64;
        let index = |at: u64| usize::try_from(at - offset).expect("an offset in a buffer");
        loop {
            let (part, queue) = {
                let mut state = self.state();
                let Some(part) = state.plan.accept(piece, came.clone()) else { return Ok(()) };
                (part, state.queues.get(&piece.blob).cloned())
            };
            let count = part.end - part.start;
            if let Some(queue) = queue {
                queue.write(part.start, bytes.slice(index(part.start)..index(part.end))).await?;
            }
            self.progress(piece.blob, count, || Source::Registry(self.route.name(host).into()));
            self.written(piece, count);
        }
    }

    fn written(&self, piece: &Piece, bytes: u64) {
        let mut state = self.state();
        state.budget = most_tries(self.client).min(state.budget.saturating_add(bytes));
        state.plan.written(piece, bytes);
        let is_whole = state.plan.is_written(piece.blob);
        drop(state);
        if is_whole {
            self.changed.notify_waiters();
        }
    }

    fn progress(&self, place: usize, bytes: u64, from: impl FnOnce() -> Source) {
        if bytes > 0 {
            let digest = || self.blobs[place].digest.clone();
            self.events.emit(|| Event::BlobProgress { digest: digest(), bytes, from: from() });
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there may be another try, of one that brought nothing.
    fn spend_a_try(&mut self) -> bool {
        let left = self.budget.checked_sub(PRICE_OF_A_TRY);
        self.budget = left.unwrap_or(self.budget);
        left.is_some()
    }
}

/// How much a pull may spend on tries that bring nothing: each connection may use up its own.
fn most_tries(client: &Client) -> u64 {
    PRICE_OF_A_TRY.saturating_mul(client.retries.saturating_mul(client.connections) as u64)
}
