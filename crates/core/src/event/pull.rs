//! One pull in events: its id, the steps that it reports, and the tasks that belong to it.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Event, Events};
use crate::digest::Digest;
use crate::document::Manifest;
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::PulledImage;

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The pull whose future this thread is polling.
    static CURRENT: Cell<Option<PullId>> = const { Cell::new(None) };
}

/// Tells a pull apart from all others of this process. It means nothing to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PullId(u64);

impl PullId {
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for PullId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reports the steps of one pull, each with the pull's id, reference and platform. Made by [`Events::for_pull`].
///
/// ```
/// use hoist_core::{Digest, Events, Platform, Reference, Result};
///
/// async fn pull(reference: &Reference, events: &Events) -> Result<Digest> {
///     let events = events.for_pull(reference, &Platform::host());
///     let work = async {
///         let digest = Digest::sha256(b"a manifest");
///         events.resolved(&digest);
///         Ok(digest)
///     };
///     events.observe(work, Digest::clone).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PullEvents {
    events: Events,
    id: PullId,
    reference: Reference,
    platform: Platform,
}

impl Events {
    /// The events of a pull of this reference for this platform. The pull gets an id of its own.
    ///
    /// A sink for a [part](Self::within) of a stack uses the id of the pull of the whole stack, if
    /// [`observe`](PullEvents::observe) or [`follow`](PullEvents::follow) runs the current future. A task that a
    /// decorator spawns belongs to that pull only if it is spawned with [`in_current_pull`]; otherwise the part
    /// gets an id of its own, and only the reference and the platform tell which pull it belongs to.
    pub fn for_pull(&self, reference: &Reference, platform: &Platform) -> PullEvents {
        let outer = if self.is_within() { CURRENT.get() } else { None };
        let id = outer.unwrap_or_else(PullId::new);
        PullEvents { events: self.clone(), id, reference: reference.clone(), platform: platform.clone() }
    }
}

impl PullEvents {
    /// Runs the pull, and reports its beginning and its end. An error gets the context that this reference could
    /// not be pulled. `digest` returns the digest of the pulled image.
    pub async fn observe<T>(
        &self,
        pull: impl Future<Output = Result<T>>,
        digest: impl FnOnce(&T) -> Digest,
    ) -> Result<T> {
        let outcome = self.run(pull, |image| Ok(digest(image))).await;
        outcome.map_err(|error| error.context(format!("cannot pull {}", self.reference)))
    }

    /// Runs the pull of another registry, and reports its beginning and its end. The result is returned
    /// unchanged.
    pub async fn follow(&self, pull: impl Future<Output = Result<PulledImage>>) -> Result<PulledImage> {
        self.run(pull, |image| image.digest.parse()).await
    }

    async fn run<T>(
        &self,
        pull: impl Future<Output = Result<T>>,
        digest: impl FnOnce(&T) -> Result<Digest>,
    ) -> Result<T> {
        let pull = pin!(pull);
        if self.events.is_off() {
            return pull.await; // without an id that nobody sees: what is within belongs to the pull around it
        }
        self.started();
        let unfinished = Unfinished(self);
        let outcome = during(Some(self.id), pull).await;
        std::mem::forget(unfinished);
        match &outcome {
            Ok(image) => match digest(image) {
                Ok(digest) => self.committed(&digest),
                Err(error) => self.failed(&error),
            },
            Err(error) => self.failed(error),
        }
        outcome
    }

    /// Reports that the pull has begun. [`observe`](Self::observe) and [`follow`](Self::follow) do so themselves.
    pub fn started(&self) {
        self.emit(|pull, reference, platform| Event::Started { pull, reference, platform });
    }

    /// Reports the manifest that the reference leads to.
    pub fn resolved(&self, digest: &Digest) {
        let digest = || digest.clone();
        self.emit(|pull, reference, platform| Event::Resolved {
            pull,
            reference,
            platform,
            digest: digest(),
        });
    }

    /// Reports the blobs of the image, before any of them is fetched.
    pub fn manifest(&self, manifest: &Manifest) {
        self.emit(|pull, reference, platform| Event::Manifest {
            pull,
            reference,
            platform,
            blobs: manifest.blobs().cloned().collect(),
        });
    }

    /// Reports that the store answers, without a request to the origin.
    pub fn hit(&self, digest: &Digest) {
        let digest = || digest.clone();
        self.emit(|pull, reference, platform| Event::Hit { pull, reference, platform, digest: digest() });
    }

    /// Reports that the store answers because the origin failed with this error.
    pub fn served_stale(&self, digest: &Digest, error: &Error) {
        let (digest, kind) = (|| digest.clone(), || error.kind().clone());
        self.emit(|pull, reference, platform| {
            let (digest, kind) = (digest(), kind());
            Event::ServedStale { pull, reference, platform, digest, kind }
        });
    }

    /// Reports that the image is in the store, which ends the pull. [`observe`](Self::observe) and
    /// [`follow`](Self::follow) do so themselves.
    pub fn committed(&self, digest: &Digest) {
        let digest = || digest.clone();
        self.emit(|pull, reference, platform| Event::Committed {
            pull,
            reference,
            platform,
            digest: digest(),
        });
    }

    /// Reports that the pull failed, which ends it. [`observe`](Self::observe) and [`follow`](Self::follow) do so
    /// themselves.
    pub fn failed(&self, error: &Error) {
        let kind = || error.kind().clone();
        self.emit(|pull, reference, platform| Event::Failed { pull, reference, platform, kind: kind() });
    }

    fn cancelled(&self) {
        self.emit(|pull, reference, platform| Event::Cancelled { pull, reference, platform });
    }

    fn emit(&self, event: impl FnOnce(PullId, Reference, Platform) -> Event) {
        self.events.emit(|| event(self.id, self.reference.clone(), self.platform.clone()));
    }
}

/// A pull that has begun. Dropping it before its end reports the pull as cancelled.
struct Unfinished<'a>(&'a PullEvents);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.cancelled();
    }
}

/// Makes work that is about to be spawned as a task a part of the pull that spawns it, so that its events have that
/// pull's id. `hoist_store::owned` does so itself.
pub fn in_current_pull<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    during(CURRENT.get(), work)
}

/// Polls the work as a part of this pull, on whichever thread.
async fn during<T>(pull: Option<PullId>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _entered = Entered { outer: CURRENT.replace(pull) };
        work.as_mut().poll(context)
    })
    .await
}

/// This thread is polling a part of a pull, until this is dropped.
struct Entered {
    outer: Option<PullId>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn listener() -> (Events, Arc<Mutex<Vec<Event>>>) {
        let told = Arc::<Mutex<Vec<_>>>::default();
        let sink = told.clone();
        (Events::to(move |event| sink.lock().unwrap().push(event)), told)
    }

    fn reference() -> Reference {
        "demo".parse().unwrap()
    }

    fn platform(name: &str) -> Platform {
        name.parse().unwrap()
    }

    fn digest() -> Digest {
        Digest::sha256(b"a manifest")
    }

    /// Polls once.
    fn look_at<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Reports what it finds at the second poll, through a part of a stack.
    async fn resolve(events: &Events, platform: &Platform) -> Result<Digest> {
        let mut was_polled = false;
        poll_fn(|_| if std::mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
        events.within().for_pull(&reference(), platform).resolved(&digest());
        Ok(digest())
    }

    #[test]
    fn concurrent_pulls_of_one_reference_are_told_apart() {
        let (events, told) = listener();
        let (amd, arm) = (platform("linux/amd64"), platform("linux/arm64"));
        let of = |platform| events.for_pull(&reference(), platform);
        let (of_amd, of_arm) = (of(&amd), of(&arm));
        let mut one = pin!(of_amd.observe(resolve(&events, &amd), Digest::clone));
        let mut other = pin!(of_arm.observe(resolve(&events, &arm), Digest::clone));
        for _ in 0..2 {
            _ = look_at(one.as_mut());
            _ = look_at(other.as_mut());
        }
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 6, "{told:?}");
        let of_pull = |pull| told.iter().filter(|event| event.pull() == Some(pull)).collect::<Vec<_>>();
        for (pull, wanted) in [(of_amd.id, &amd), (of_arm.id, &arm)] {
            let [
                Event::Started { platform: first, .. },
                Event::Resolved { platform: second, .. },
                Event::Committed { platform: third, .. },
            ] = of_pull(pull)[..]
            else {
                panic!("{told:?}")
            };
            assert_eq!([first, second, third], [wanted; 3]);
        }
    }

    #[test]
    fn a_task_belongs_to_the_pull_that_spawned_it() {
        let (events, told) = listener();
        let (within, platform) = (events.within(), platform("linux/amd64"));
        let resolve = || async { within.for_pull(&reference(), &platform).resolved(&digest()) };
        let pull = events.for_pull(&reference(), &platform);
        let spawn = async { Ok((digest(), in_current_pull(resolve()), resolve())) };
        let Poll::Ready(spawned) = look_at(pull.observe(spawn, |(digest, ..)| digest.clone())) else {
            panic!("it waits for nothing")
        };
        let (_, ours, own) = spawned.unwrap();
        assert!(look_at(ours).is_ready() && look_at(own).is_ready());
        let told = told.lock().unwrap();
        let has_id = told.iter().map(|event| event.pull() == Some(pull.id)).collect::<Vec<_>>();
        assert_eq!(has_id, [true, true, true, false], "{told:?}");
    }

    #[test]
    fn only_a_part_of_a_stack_joins_the_pull_around_it() {
        let (events, told) = listener();
        let (quiet, platform) = (Events::default(), platform("linux/amd64"));
        let inner = async {
            events.within().for_pull(&reference(), &platform).resolved(&digest());
            let whole = events.for_pull(&reference(), &platform);
            whole.observe(std::future::ready(Ok(digest())), Digest::clone).await
        };
        let quiet = quiet.for_pull(&reference(), &platform);
        let outer = events.for_pull(&reference(), &platform);
        assert!(look_at(outer.observe(quiet.observe(inner, Digest::clone), Digest::clone)).is_ready());
        let told = told.lock().unwrap();
        let has_id = told.iter().map(|event| event.pull() == Some(outer.id)).collect::<Vec<_>>();
        assert_eq!(has_id, [true, true, false, false, true], "each Started has its own id: {told:?}");
    }
}
