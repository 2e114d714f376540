//! What a mocked registry was asked for, for tests to make assertions on.

use hoist_core::Digest;

use super::answer::Answer;
use super::request::{Asked, Target};

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The digest that was asked for, where it was one.
    pub digest: Option<Digest>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The scopes that a token was asked for.
    pub scopes: Vec<String>,
    /// The fields of a form that was posted.
    pub form: Vec<(String, String)>,
    /// The status of the answer.
    pub status: u16,
    /// How many bytes of body the answer had; none to a `HEAD`.
    pub bytes: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Blob,
    Token,
    Other,
}

impl Seen {
    pub(super) fn of(asked: &Asked, answer: &Answer) -> Self {
        Self {
            method: asked.method.clone(),
            path: asked.path.clone(),
            digest: asked.digest(),
            range: asked.range.clone(),
            authorization: asked.authorization.clone(),
            scopes: asked.scopes.clone(),
            form: asked.form.clone(),
            status: answer.status,
            bytes: if asked.is_head() { 0 } else { answer.bytes_sent() },
            kind: match asked.target {
                Target::Manifest { .. } => Kind::Manifest,
                Target::Blob { .. } => Kind::Blob,
                Target::Token => Kind::Token,
                Target::Ping | Target::Tags { .. } | Target::Other => Kind::Other,
            },
        }
    }
}

/// How many requests of which kind there were, whatever the answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `GET`s of manifests and indexes.
    pub manifest_gets: usize,
    /// `HEAD`s of manifests and indexes.
    pub manifest_heads: usize,
    /// `GET`s of blobs; one fetched as four ranges counts four times.
    pub blob_gets: usize,
    /// The bytes sent in answers to those.
    pub blob_bytes: u64,
    /// Requests to the token endpoint.
    pub token_requests: usize,
}

impl Counts {
    pub(super) fn of(requests: &[Seen]) -> Self {
        requests.iter().fold(Self::default(), Self::count)
    }

    fn count(mut self, seen: &Seen) -> Self {
        match (seen.kind, seen.method.as_str()) {
            (Kind::Manifest, "HEAD") => self.manifest_heads += 1,
            (Kind::Manifest, _) => self.manifest_gets += 1,
            (Kind::Blob, "GET") => {
                self.blob_gets += 1;
                self.blob_bytes += seen.bytes;
            }
            (Kind::Token, _) => self.token_requests += 1,
            (Kind::Blob | Kind::Other, _) => {}
        }
        self
    }
}
