//! The open connections: bounded, and the one that was idle for the longest time gives way to a new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

/// All open connections.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<All>);

#[derive(Debug)]
struct All {
    limit: usize,
    start: Instant,
    open: Mutex<Open>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// When bytes were last moved, in nanoseconds since the server started.
    active: AtomicU64,
    close: Notify,
}

/// One of them. It counts until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Guard>);

#[derive(Debug)]
struct Guard {
    number: u64,
    state: Arc<State>,
    all: Arc<All>,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        let (start, open, count) = (Instant::now(), Mutex::default(), watch::Sender::new(0));
        Self(Arc::new(All { limit, start, open, count }))
    }

    /// Adds a connection. At the limit, this closes the one that was idle for the longest time.
    pub(super) fn add(&self) -> Connection {
        let mut open = self.0.lock();
        if open.by_number.len() >= self.0.limit {
            let idle = open.by_number.iter().min_by_key(|(_, state)| state.active.load(Ordering::Relaxed));
            if let Some(number) = idle.map(|(number, _)| *number)
                && let Some(state) = open.by_number.remove(&number)
            {
                state.close.notify_one();
            }
        }
        let (number, state) = (open.next, Arc::new(State::default()));
        open.next += 1;
        open.by_number.insert(number, state.clone());
        drop(open);
        self.0.count.send_modify(|count| *count += 1);
        let connection = Connection(Arc::new(Guard { number, state, all: self.0.clone() }));
        connection.moved();
        connection
    }

    /// Waits until all connections have ended.
    pub(super) async fn ended(&self) {
        _ = self.0.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Connection {
    /// Bytes were moved.
    pub(super) fn moved(&self) {
        let since = self.0.all.start.elapsed();
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.0.state.active.store(since, Ordering::Relaxed);
    }

    /// Waits until it has to give way.
    pub(super) async fn closed(&self) {
        self.0.state.close.notified().await;
    }
}

impl All {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.all.lock().by_number.remove(&self.number);
        self.all.count.send_modify(|count| *count -= 1);
    }
}
