//! A bounded channel of events, for readers that may be slow.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::{Event, Events};
use crate::digest::Digest;

impl Events {
    /// Returns a sink for events, and the receiver that reads them from a queue of `capacity` events. A pull
    /// never waits for the reader.
    ///
    /// If the reader is slow, the progress of a blob since the last read is merged into one event. If the queue
    /// is full, events are dropped and [counted](Received::left_out), except those that begin or end a pull. So
    /// the queue may exceed its capacity by two events per pull.
    pub fn channel(capacity: usize) -> (Self, Received) {
        let shared = Arc::new(Shared::default());
        let sender = Sender { shared: shared.clone(), capacity: capacity.max(1) };
        (Self::to(move |event| sender.send(event)), Received(shared))
    }
}

/// The receiving end of a [channel](Events::channel). After it is dropped, events are discarded.
#[derive(Debug)]
pub struct Received(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when an event arrives, or when the last sender is gone.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// The sequence number of the first event in the queue.
    first: u64,
    /// The sequence number of each blob's last event in the queue.
    last_of: HashMap<Digest, u64>,
    left_out: u64,
    has_no_sender: bool,
    has_no_reader: bool,
    waker: Option<Waker>,
}

impl Received {
    /// Waits for the next event. `None`: all senders are gone, so that no event will follow.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| {
            let mut queue = self.0.lock();
            match queue.take() {
                None if !queue.has_no_sender => {
                    queue.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                event => Poll::Ready(event),
            }
        })
        .await
    }

    /// Like [`next`](Self::next), for a thread that may block.
    pub fn wait(&mut self) -> Option<Event> {
        let queue = self.0.lock();
        let nothing = |queue: &mut Queue| queue.events.is_empty() && !queue.has_no_sender;
        let queue = self.0.changed.wait_while(queue, nothing);
        queue.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The next event, if one is in the queue.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.lock().take()
    }

    /// The number of events that were dropped so far because the queue was full.
    pub fn left_out(&self) -> u64 {
        self.0.lock().left_out
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.has_no_reader = true;
        queue.events.clear();
        queue.last_of.clear();
    }
}

struct Sender {
    shared: Arc<Shared>,
    capacity: usize,
}

impl Sender {
    fn send(&self, event: Event) {
        let mut queue = self.shared.lock();
        queue.put(event, self.capacity);
        self.shared.wake(queue);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.has_no_sender = true;
        self.shared.wake(queue);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let waker = queue.waker.take();
        drop(queue);
        self.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Queue {
    fn put(&mut self, event: Event, capacity: usize) {
        if self.has_no_reader || self.merge(&event) {
            return;
        }
        let is_news = !event.is_end() && !matches!(event, Event::Started { .. });
        if is_news && self.events.len() >= capacity {
            self.left_out += 1;
            return;
        }
        if let Some(digest) = blob_of(&event) {
            self.last_of.insert(digest.clone(), self.first + self.events.len() as u64);
        }
        self.events.push_back(event);
    }

    /// Adds a blob's progress to its previous event, if that is still in the queue and no other event of the
    /// blob follows it.
    fn merge(&mut self, event: &Event) -> bool {
        let Event::BlobProgress { digest, bytes: more, from } = event else { return false };
        let Some(number) = self.last_of.get(digest) else { return false };
        let Ok(place) = usize::try_from(number - self.first) else { return false };
        match self.events.get_mut(place) {
            Some(Event::BlobProgress { bytes, from: before, .. }) if before == from => {
                *bytes += more;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Some(digest) = blob_of(&event)
            && self.last_of.get(digest) == Some(&self.first)
        {
            self.last_of.remove(digest);
        }
        self.first += 1;
        Some(event)
    }
}

fn blob_of(event: &Event) -> Option<&Digest> {
    match event {
        Event::BlobFound { digest, .. }
        | Event::BlobStarted { digest, .. }
        | Event::BlobProgress { digest, .. }
        | Event::BlobVerified { digest } => Some(digest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;
    use crate::event::PullId;
    use crate::{Platform, Source};

    fn progress(blob: &str, bytes: u64) -> Event {
        Event::BlobProgress { digest: Digest::sha256(blob.as_bytes()), bytes, from: Source::Store }
    }

    fn verified(blob: &str) -> Event {
        Event::BlobVerified { digest: Digest::sha256(blob.as_bytes()) }
    }

    fn end() -> Event {
        let (pull, reference, platform) = (PullId::new(), "demo".parse().unwrap(), Platform::host());
        Event::Cancelled { pull, reference, platform }
    }

    /// The received events, in short.
    fn all(received: &mut Received) -> Vec<String> {
        std::iter::from_fn(|| received.try_next()).map(|event| short(&event)).collect()
    }

    fn short(event: &Event) -> String {
        match event {
            Event::BlobProgress { bytes, .. } => bytes.to_string(),
            Event::BlobVerified { .. } => "verified".to_owned(),
            _ => "end".to_owned(),
        }
    }

    #[test]
    fn what_a_slow_reader_has_missed_of_a_blob_is_one_event() {
        let (events, mut received) = Events::channel(100);
        for (blob, bytes) in [("a", 1), ("b", 10), ("a", 2), ("b", 20), ("a", 3)] {
            events.emit(|| progress(blob, bytes));
        }
        events.emit(|| verified("a"));
        events.emit(|| progress("a", 100)); // it is fetched again
        assert_eq!(all(&mut received), ["6", "30", "verified", "100"]);
        events.emit(|| progress("a", 7));
        assert_eq!(all(&mut received), ["7"], "what was read is not added to");
        assert_eq!(received.left_out(), 0);
    }

    #[test]
    fn what_was_read_in_between_does_not_matter_to_the_rest() {
        let (events, mut received) = Events::channel(100);
        events.emit(|| progress("a", 1));
        events.emit(|| progress("b", 10));
        assert_eq!(received.try_next().as_ref().map(short).as_deref(), Some("1"));
        events.emit(|| progress("b", 20));
        events.emit(|| progress("a", 2));
        events.emit(|| progress("a", 3));
        assert_eq!(all(&mut received), ["30", "5"]);
    }

    #[test]
    fn bytes_from_elsewhere_are_told_apart() {
        let (events, mut received) = Events::channel(100);
        events.emit(|| progress("a", 1));
        let digest = Digest::sha256(b"a");
        events.emit(|| Event::BlobProgress { digest, bytes: 2, from: Source::Registry("ghcr.io".into()) });
        assert_eq!(all(&mut received), ["1", "2"]);
    }

    #[test]
    fn a_full_queue_leaves_news_out_and_never_an_end() {
        let (events, mut received) = Events::channel(2);
        for blob in ["a", "b", "c", "d"] {
            events.emit(|| verified(blob));
        }
        events.emit(end);
        events.emit(end);
        assert_eq!(received.left_out(), 2);
        assert_eq!(all(&mut received), ["verified", "verified", "end", "end"]);
    }

    #[test]
    fn the_end_comes_when_nobody_is_left_who_sends() {
        let (events, mut received) = Events::channel(2);
        let other = events.clone();
        events.emit(end);
        drop((events, other));
        assert_eq!(received.wait().as_ref().map(short).as_deref(), Some("end"));
        assert!(received.wait().is_none());
    }

    #[test]
    fn a_thread_that_waits_is_woken() {
        let (events, mut received) = Events::channel(2);
        let reader = std::thread::spawn(move || received.wait().as_ref().map(short));
        events.emit(end);
        assert_eq!(reader.join().unwrap().as_deref(), Some("end"));
    }

    #[test]
    fn a_task_that_waits_is_woken() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Count(0.into()));
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        let (events, mut received) = Events::channel(2);
        {
            let mut next = pin!(received.next());
            assert!(next.as_mut().poll(&mut context).is_pending());
            events.emit(end);
            assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 1);
            assert!(next.as_mut().poll(&mut context).is_ready());
        }
        let mut next = pin!(received.next());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(events);
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 2);
        assert!(matches!(next.as_mut().poll(&mut context), Poll::Ready(None)));
    }

    #[test]
    fn a_reader_that_has_left_holds_nothing_up_and_nothing_back() {
        let (events, received) = Events::channel(100);
        let name: Arc<str> = "ghcr.io".into();
        let came = |blob: &str| Event::BlobProgress {
            digest: Digest::sha256(blob.as_bytes()),
            bytes: 1,
            from: Source::Registry(name.clone()),
        };
        events.emit(|| came("a"));
        drop(received);
        events.emit(|| came("b"));
        assert_eq!(Arc::strong_count(&name), 1, "neither what waited nor what came later is kept");
    }
}
