//! One request, sent to one host after another until one answers it.

use std::collections::VecDeque;

use hoist_core::{Error, ErrorKind, Result};
use hoist_fetch::Fetcher;

use super::endpoint::Endpoint;
use super::host_config::Capability;
use super::route::Route;

/// The hosts that are still to be asked.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    route: &'a Route,
    fetcher: &'a Fetcher,
    needed: Capability,
    queue: VecDeque<usize>,
    /// Mirrors that rest after a failure; they are asked when no other host is left.
    resting: VecDeque<usize>,
    /// The origin's error, or else the last mirror's.
    error: Option<(usize, Error)>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(route: &'a Route, needed: Capability, fetcher: &'a Fetcher) -> Self {
        let origin = route.origin_place();
        let able = (0..=origin).filter(|&place| route.endpoints()[place].host.has(needed));
        let rests = |place: usize| fetcher.state(&route.endpoints()[place].host.id).is_resting();
        let (resting, queue) = able.partition(|&place| place != origin && rests(place));
        Self { route, fetcher, needed, queue, resting, error: None }
    }

    /// The next one to ask, with its place in the route. `None`: that is all; see [`into_error`](Self::into_error).
    pub(crate) fn next(&mut self) -> Option<(usize, &'a Endpoint)> {
        // An answer of the origin about the image is final. Without one, resting mirrors are asked too.
        let is_answered = self
            .error
            .as_ref()
            .is_some_and(|(place, error)| *place == self.route.origin_place() && !error.is_transient());
        let next = self.queue.pop_front();
        let place = next.or_else(|| if is_answered { None } else { self.resting.pop_front() })?;
        Some((place, &self.route.endpoints()[place]))
    }

    /// A host answered as it should.
    pub(crate) fn succeeded(&self, place: usize) {
        let host = &self.route.endpoints()[place].host;
        let state = self.fetcher.state(&host.id);
        if let Some(time) = host.fastest_answer() {
            state.answered_after(time);
        }
        if place != self.route.origin_place() {
            state.did_well();
        }
    }

    /// A host did not answer as it should. Fails if the host is not to blame.
    pub(crate) fn failed(&mut self, place: usize, error: Error) -> Result<()> {
        if matches!(error.kind(), ErrorKind::Storage | ErrorKind::NoSpace | ErrorKind::InvalidConfig) {
            return Err(error);
        }
        let origin = self.route.origin_place();
        if place == origin {
            self.error = Some((place, error));
            return Ok(());
        }
        let host = &self.route.endpoints()[place].host;
        let reason = error.report();
        tracing::debug!(registry = self.route.registry, mirror = host.name, reason, "passing over a mirror");
        if error.is_transient() || *error.kind() == ErrorKind::Tls {
            self.fetcher.state(&host.id).was_in_trouble();
        }
        if self.error.as_ref().is_none_or(|(place, _)| *place != origin) {
            self.error = Some((place, error));
        }
        Ok(())
    }

    /// The error of a request that no host answered. Only the origin can say that there is no such image.
    pub(crate) fn into_error(self) -> Error {
        let registry = &self.route.registry;
        match self.error {
            Some((place, error)) if place == self.route.origin_place() => error,
            Some((_, error)) => {
                let kind = if *error.kind() == ErrorKind::NotFound {
                    ErrorKind::Unavailable
                } else {
                    error.kind().clone()
                };
                Error::new(kind, format!("no mirror of {registry} has it, and its server may not be asked"))
                    .with_source(error)
            }
            None => {
                let ability = if self.needed == Capability::Resolve { "resolve" } else { "pull" };
                let message = format!("no host of {registry} has the capability {ability:?}");
                Error::new(ErrorKind::InvalidConfig, message).with_help("give one to it in its hosts.toml")
            }
        }
    }
}
