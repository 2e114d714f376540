//! The authorization for one repository, shared by all connections.

use hoist_core::{Error, ErrorKind, Secret};
use reqwest::header::HeaderValue;

use super::authorization::Authorization;
/// A session with one repository of one host. It is locked while a new authorization is fetched, so that all requests
/// wait for one fetch.
pub(crate) type Session = tokio::sync::Mutex<State>;

/// The state of a session.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The number of authorizations so far: tells whether another request was faster.
    generation: u64,
    pub(super) authorization: Option<Authorization>,
    /// The refresh token, which gets the next token without credentials.
    pub(super) refresh: Option<Secret>,
    /// Whether an anonymous token did not help in place of this authorization.
    pub(super) without_was_no_use: bool,
    /// Whether `/v2/` was asked for a challenge, because the repository may be hidden from nobody.
    pub(super) base_was_asked: bool,
    /// Failures of the search for credentials, and credentials that were refused.
    pub(super) troubles: Vec<Error>,
}

/// The authorization that a request was sent with.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(super) generation: u64,
    /// `None`: it was the session's own authorization.
    pub(super) apart: Option<Authorization>,
    /// Whether it was fetched for this very request.
    pub(super) is_fresh: bool,
    /// Whether it is from credentials: not an anonymous token.
    pub(super) is_of_credentials: bool,
    header: Option<HeaderValue>,
}

impl State {
    pub(super) fn presented(&self) -> Presented {
        let header = self.authorization.as_ref().map(Authorization::header);
        let is_of_credentials = self.authorization.as_ref().is_some_and(Authorization::is_of_credentials);
        Presented { generation: self.generation, apart: None, is_fresh: false, is_of_credentials, header }
    }

    /// Presents this authorization from now on.
    pub(super) fn present(&mut self, authorization: Authorization) -> Presented {
        self.generation += 1;
        self.without_was_no_use = false;
        self.authorization = Some(authorization);
        Presented { is_fresh: true, ..self.presented() }
    }

    /// Presents this authorization once, as a trial.
    pub(super) fn present_apart(&self, authorization: Authorization) -> Presented {
        let header = Some(authorization.header());
        let is_of_credentials = authorization.is_of_credentials();
        let apart = Some(authorization);
        Presented { generation: self.generation, apart, is_fresh: true, is_of_credentials, header }
    }

    /// Adds to the error of a refused request why credentials could not be looked up.
    pub(super) fn explain(&self, error: Error) -> Error {
        let is_refused = matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden);
        if !is_refused || self.troubles.is_empty() {
            return error;
        }
        let troubles: Vec<_> = self.troubles.iter().map(Error::report).collect();
        error.with_source(Error::new(ErrorKind::InvalidConfig, troubles.join("; ")))
    }

    /// Whether there is a newer authorization than the presented one.
    pub(super) fn is_newer_than(&self, presented: &Presented) -> bool {
        self.generation != presented.generation
    }
}

impl Presented {
    /// The `Authorization` header.
    pub(crate) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }
}
