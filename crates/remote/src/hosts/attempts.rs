//! One request, made to one host after the other until one answers it.

use std::collections::VecDeque;

use hoist_core::{Error, ErrorKind, Result};
use hoist_fetch::Fetcher;

use super::route::Route;
use crate::endpoint::Endpoint;

/// What a host has to be trusted with, to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To say what a tag is.
    Resolve,
    /// To serve what has a digest, which is checked.
    Pull,
}

/// The hosts that are still to be asked.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    route: &'a Route,
    fetcher: &'a Fetcher,
    need: Need,
    queue: VecDeque<usize>,
    /// Those left alone since they were in trouble; they are asked when nobody else is left.
    resting: VecDeque<usize>,
    /// What the origin said, or else the last mirror.
    error: Option<(usize, Error)>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(route: &'a Route, need: Need, fetcher: &'a Fetcher) -> Self {
        let origin = route.origin_place();
        let able = (0..=origin).filter(|&place| route.endpoints()[place].site.can(need));
        let rests = |place: usize| fetcher.state(&route.endpoints()[place].site.id).is_resting();
        let (resting, queue) = able.partition(|&place| place != origin && rests(place));
        Self { route, fetcher, need, queue, resting, error: None }
    }

    /// The next one to ask, with its place in the route. `None`: that is all; see [`into_error`](Self::into_error).
    pub(crate) fn next(&mut self) -> Option<(usize, &'a Endpoint)> {
        // What the origin said of the image is said; where it said nothing, anybody may be asked.
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
        let site = &self.route.endpoints()[place].site;
        let state = self.fetcher.state(&site.id);
        if let Some(time) = site.fastest_answer() {
            state.answered_after(time);
        }
        if place != self.route.origin_place() {
            state.did_well();
        }
    }

    /// A host did not answer as it should. Fails where that is no trouble of the host's.
    pub(crate) fn failed(&mut self, place: usize, error: Error) -> Result<()> {
        if matches!(error.kind(), ErrorKind::Storage | ErrorKind::NoSpace | ErrorKind::InvalidConfig) {
            return Err(error);
        }
        let origin = self.route.origin_place();
        if place == origin {
            self.error = Some((place, error));
            return Ok(());
        }
        let site = &self.route.endpoints()[place].site;
        let reason = error.report();
        tracing::debug!(registry = self.route.registry, mirror = site.name, reason, "passing over a mirror");
        if error.is_transient() || *error.kind() == ErrorKind::Tls {
            self.fetcher.state(&site.id).was_in_trouble();
        }
        if self.error.as_ref().is_none_or(|(place, _)| *place != origin) {
            self.error = Some((place, error));
        }
        Ok(())
    }

    /// Why nobody answered. Only the origin's word counts for an image that is not there.
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
                let ability = if self.need == Need::Resolve { "resolve" } else { "pull" };
                let message = format!("no host of {registry} has the capability {ability:?}");
                Error::new(ErrorKind::InvalidConfig, message).with_help("give one to it in its hosts.toml")
            }
        }
    }
}
