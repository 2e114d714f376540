//! Event sinks.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::Result;
use crate::event::Event;
use crate::reference::Reference;
use crate::registry::PulledImage;

/// A sink for events: a function, or nothing. Cheap to clone.
///
/// The function is called from within the pull, so it must return at once. It should pass the event on, as
/// [`channel`](Self::channel) does, rather than process it.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Sends events to this function.
    pub fn to(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Runs a pull, and reports its beginning and its end. An error gets the context that this reference could
    /// not be pulled. `digest` returns the digest of the pulled image.
    pub async fn observe<T>(
        &self,
        reference: &Reference,
        pull: impl Future<Output = Result<T>>,
        digest: impl FnOnce(&T) -> Digest,
    ) -> Result<T> {
        let outcome = self.run(reference, pull, |image| Ok(digest(image))).await;
        outcome.map_err(|error| error.context(format!("cannot pull {reference}")))
    }

    /// Runs a pull of another registry, and reports its beginning and its end. The result is returned
    /// unchanged.
    pub async fn follow(
        &self,
        reference: &Reference,
        pull: impl Future<Output = Result<PulledImage>>,
    ) -> Result<PulledImage> {
        self.run(reference, pull, |image| image.digest.parse()).await
    }

    async fn run<T>(
        &self,
        reference: &Reference,
        pull: impl Future<Output = Result<T>>,
        digest: impl FnOnce(&T) -> Result<Digest>,
    ) -> Result<T> {
        self.emit(|| Event::Started { reference: reference.clone() });
        let unfinished = Unfinished { events: self, reference };
        let outcome = pull.await;
        std::mem::forget(unfinished);
        self.emit(|| match outcome.as_ref().map_err(Clone::clone).and_then(digest) {
            Ok(digest) => Event::Committed { reference: reference.clone(), digest },
            Err(error) => Event::Failed { reference: reference.clone(), kind: error.kind().clone() },
        });
        outcome
    }

    /// A sink for a registry that is one part of a stack. It drops the events that begin and end a pull,
    /// because the caller that [`observe`](Self::observe)s the whole stack reports those.
    #[must_use]
    pub fn within(&self) -> Self {
        let Some(sink) = self.0.clone() else { return Self(None) };
        Self::to(move |event| {
            if !(event.is_end() || matches!(event, Event::Started { .. })) {
                sink(event);
            }
        })
    }

    /// Sends events to both sinks, first to this one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(first), Some(second)) => Self::to(move |event| {
                first(event.clone());
                second(event);
            }),
            (first, second) => Self(first.or(second)),
        }
    }

    /// Reports an event. The event is not even created if there is no sink.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.0 {
            sink(event());
        }
    }
}

/// A pull that has begun. Dropping it before its end reports the pull as cancelled.
struct Unfinished<'a> {
    events: &'a Events,
    reference: &'a Reference,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.events.emit(|| Event::Cancelled { reference: self.reference.clone() });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Events(on)" } else { "Events(off)" })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{Error, ErrorKind};

    /// A sink that records short names of the events.
    fn listener() -> (Events, Arc<Mutex<Vec<&'static str>>>) {
        let told = Arc::<Mutex<Vec<_>>>::default();
        let sink = told.clone();
        let short = |event: &Event| match event {
            Event::Started { .. } => "started",
            Event::BlobVerified { .. } => "verified",
            Event::Committed { .. } => "committed",
            Event::Failed { .. } => "failed",
            Event::Cancelled { .. } => "cancelled",
            _ => "something else",
        };
        (Events::to(move |event| sink.lock().unwrap().push(short(&event))), told)
    }

    /// Polls a pull once, which reports a blob and then has this outcome, or none yet, and drops it.
    fn look_at_a_pull(events: &Events, within: &Events, outcome: Option<Result<Digest>>) {
        let pull = async {
            within.emit(|| Event::BlobVerified { digest: Digest::sha256(b"") });
            match outcome {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        };
        let reference = "demo".parse().unwrap();
        let watched = pin!(events.observe(&reference, pull, Digest::clone));
        let _: Poll<_> = watched.poll(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn a_pull_ends_once_however_it_ends() {
        for (outcome, end) in [
            (Some(Ok(Digest::sha256(b""))), "committed"),
            (Some(Err(Error::new(ErrorKind::NotFound, "lost"))), "failed"),
            (None, "cancelled"),
        ] {
            let (events, told) = listener();
            look_at_a_pull(&events, &events, outcome);
            assert_eq!(*told.lock().unwrap(), ["started", "verified", end]);
        }
    }

    #[test]
    fn a_part_of_a_stack_leaves_the_beginning_and_the_end_to_the_whole() {
        for outcome in [Some(Ok(Digest::sha256(b""))), None] {
            let (events, told) = listener();
            look_at_a_pull(&events.within(), &events.within(), outcome);
            assert_eq!(*told.lock().unwrap(), ["verified"]);
        }
    }

    #[test]
    fn two_who_listen_are_told_both() {
        let ((one, told), (other, told_too)) = (listener(), listener());
        for events in
            [one.clone().and(other.clone()), one.and(Events::default()), Events::default().and(other)]
        {
            events.emit(|| Event::BlobVerified { digest: Digest::sha256(b"") });
        }
        assert_eq!(*told.lock().unwrap(), ["verified"; 2]);
        assert_eq!(*told_too.lock().unwrap(), ["verified"; 2]);
    }
}
