//! Event sinks.

use std::fmt;
use std::sync::Arc;

use super::Event;

/// A sink for events: a function, or nothing. Cheap to clone.
///
/// The function is called from within the pull, so it must return at once. It should pass the event on, as
/// [`channel`](Self::channel) does, rather than process it.
#[derive(Clone, Default)]
pub struct Events(Option<Sink>);

#[derive(Clone)]
struct Sink {
    send: Arc<dyn Fn(Event) + Send + Sync>,
    /// Whether this is for a part of a stack.
    is_within: bool,
}

impl Events {
    /// Sends events to this function.
    pub fn to(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Sink { send: Arc::new(sink), is_within: false }))
    }

    /// A sink for a registry that is one part of a stack. It drops the events that begin and end a pull, because
    /// the caller that [`follow`](super::PullEvents::follow)s the whole stack reports those. All others have the id
    /// of the pull of the whole stack, see [`for_pull`](Self::for_pull).
    #[must_use]
    pub fn within(&self) -> Self {
        let Some(Sink { send, .. }) = self.0.clone() else { return Self(None) };
        let send = move |event: Event| {
            if !(event.is_end() || matches!(event, Event::Started { .. })) {
                send(event);
            }
        };
        Self(Some(Sink { send: Arc::new(send), is_within: true }))
    }

    /// Sends events to both sinks, first to this one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(first), Some(second)) => {
                let is_within = first.is_within && second.is_within;
                let send = move |event: Event| {
                    (first.send)(event.clone());
                    (second.send)(event);
                };
                Self(Some(Sink { send: Arc::new(send), is_within }))
            }
            (first, second) => Self(first.or(second)),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn is_within(&self) -> bool {
        self.0.as_ref().is_some_and(|sink| sink.is_within)
    }

    /// Reports an event. The event is not even created if there is no sink.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.0 {
            (sink.send)(event());
        }
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
    use crate::{Digest, Error, ErrorKind, Platform, Result};

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
        let events = events.for_pull(&reference, &Platform::host());
        let watched = pin!(events.observe(pull, Digest::clone));
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
