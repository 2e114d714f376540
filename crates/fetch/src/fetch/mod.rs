//! One fetch: the blobs of one image, under one scheduler. Several connections work at once.

mod blob;
mod receive;
mod state;
mod worker;

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{self, Either};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use hoist_core::{Descriptor, Event, Events, Result, Source};
use hoist_store::Staging;
use tokio::sync::Notify;

use crate::fetcher::{Fetcher, Wanted};
use state::{Known, State};

/// The number of blobs that are open at once for each connection: one arrives while another is being verified.
const OPEN_BLOBS: usize = 2;

/// The fetch of one image's blobs.
struct Fetch<'a> {
    fetcher: &'a Fetcher,
    events: &'a Events,
    blobs: Vec<Wanted>,
    state: Mutex<State>,
    /// Wakes idle connections: there is work.
    work: Notify,
    /// Wakes the workers that wait for a slot at a source: another source may be the better choice now.
    choice: Notify,
}

impl Fetcher {
    /// Fetches all blobs into the image: from the pool, or from their sources. `check` is called with each blob once it
    /// is there; an error of it ends the fetch.
    ///
    /// Fails with [`NotFound`](hoist_core::ErrorKind::NotFound) where the origin does not have a blob, with
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) or
    /// [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) where no source has the right bytes, with
    /// [`Unavailable`](hoist_core::ErrorKind::Unavailable) where no source can be reached, and as the store does. Blobs
    /// and ranges that were written by then stay, and the next fetch goes on from there.
    pub async fn fetch(
        &self,
        staging: &Staging,
        blobs: Vec<Wanted>,
        events: &Events,
        check: impl Fn(&Descriptor) -> Result<()>,
    ) -> Result<()> {
        Fetch::new(self, events, blobs).run(staging, check).await
    }
}

impl<'a> Fetch<'a> {
    fn new(fetcher: &'a Fetcher, events: &'a Events, blobs: Vec<Wanted>) -> Self {
        let state = Mutex::new(State::new(fetcher, &blobs));
        let (work, choice) = (Notify::new(), Notify::new());
        Self { fetcher, events, blobs, state, work, choice }
    }

    async fn run(&self, staging: &Staging, check: impl Fn(&Descriptor) -> Result<()>) -> Result<()> {
        let check = &check;
        let blobs = (0..self.blobs.len()).map(|place| async move {
            self.fetch(staging, place).await?;
            check(self.blob(place))
        });
        // A stream must not borrow through a closure's argument, hence the collected futures.
        let blobs: Vec<_> = blobs.collect();
        let connections = self.fetcher.connections;
        let blobs = stream::iter(blobs).buffer_unordered(OPEN_BLOBS * connections);
        let blobs = pin!(blobs.try_collect::<()>());
        let mut workers: FuturesUnordered<_> = (0..connections).map(|_| self.work()).collect();
        match future::select(blobs, workers.try_next()).await {
            Either::Left((done, _)) => done,
            Either::Right((Err(error), _)) => Err(error),
            Either::Right((Ok(Some(never)), _)) => match never {},
            Either::Right((Ok(None), blobs)) => blobs.await,
        }
    }

    /// Wakes all other connections: there is work, or a better choice of source.
    fn announce(&self) {
        self.work.notify_waiters();
        self.choice.notify_waiters();
    }

    fn progress(&self, place: usize, bytes: u64, from: impl FnOnce() -> Source) {
        if bytes > 0 {
            let digest = || self.blob(place).digest.clone();
            self.events.emit(|| Event::blob_progress(digest(), bytes, from()));
        }
    }

    fn blob(&self, place: usize) -> &Descriptor {
        &self.blobs[place].blob
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
