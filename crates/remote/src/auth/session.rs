//! The state of being let in to one repository, shared by all connections.

use hoist_core::{Error, ErrorKind};
use reqwest::header::HeaderValue;

use super::proof::Proof;
use crate::credentials::Secret;

/// What is shown for one repository of one host. It is locked while a new proof is fetched, so that all who need
/// it wait for one request.
pub(crate) type Session = tokio::sync::Mutex<State>;

/// What is known of being let in.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// How many proofs there have been: tells whether somebody else was faster.
    generation: u64,
    pub(super) proof: Option<Proof>,
    /// What gets the next token without credentials.
    pub(super) refresh: Option<Secret>,
    /// Whether it was tried in vain to come without the credentials behind this proof.
    pub(super) without_was_no_use: bool,
    /// What could not be asked for credentials, or was no good.
    pub(super) troubles: Vec<Error>,
}

/// What a request showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(super) generation: u64,
    /// `None` where it was the session's own proof.
    pub(super) apart: Option<Proof>,
    /// Whether it was fetched for this very request.
    pub(super) is_fresh: bool,
    header: Option<HeaderValue>,
}

impl State {
    pub(super) fn shown(&self) -> Shown {
        let header = self.proof.as_ref().map(Proof::header);
        Shown { generation: self.generation, apart: None, is_fresh: false, header }
    }

    /// Shows this from now on.
    pub(super) fn show(&mut self, proof: Proof) -> Shown {
        self.generation += 1;
        self.without_was_no_use = false;
        self.proof = Some(proof);
        Shown { is_fresh: true, ..self.shown() }
    }

    /// Shows this once, to find out whether it is any good.
    pub(super) fn show_apart(&self, proof: Proof) -> Shown {
        let header = Some(proof.header());
        Shown { generation: self.generation, apart: Some(proof), is_fresh: true, header }
    }

    /// The error that being refused comes to: with what could not be asked for credentials.
    pub(super) fn explain(&self, error: Error) -> Error {
        let is_refused = matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden);
        if !is_refused || self.troubles.is_empty() {
            return error;
        }
        let troubles: Vec<_> = self.troubles.iter().map(Error::report).collect();
        error.with_source(Error::new(ErrorKind::InvalidConfig, troubles.join("; ")))
    }

    /// Whether somebody has got another proof since this was shown.
    pub(super) fn is_newer_than(&self, shown: &Shown) -> bool {
        self.generation != shown.generation
    }
}

impl Shown {
    /// The `Authorization` to send.
    pub(crate) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }
}
