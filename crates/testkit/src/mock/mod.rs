//! A mocked registry on a port of its own. It counts its requests, and fails on demand.
//!
//! A [`wiremock`] server makes the answers. The relay in front of it does what no HTTP server can be made to do: it
//! cuts a body short, holds one back, or goes away and comes back on the same port.

mod answer;
mod auth;
mod fault;
mod front;
mod gate;
mod request;
mod seen;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use hoist_core::Digest;
use tokio::task::coop;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use crate::image::{Blob, Publishable};
use front::Front;
use request::Asked;
use state::{Hold, State};

pub use auth::Auth;
pub use fault::{Fault, On};
pub use gate::{Gate, Turnstile};
pub use seen::{Counts, Seen};
pub use tokens::Tokens;

/// Any mock that a test mounts on [`MockRegistry::server`] goes before the registry itself.
const LAST: u8 = u8::MAX;

/// A registry that speaks the distribution protocol on `127.0.0.1`, over plain HTTP. Clones are the same
/// registry; it ends with the last of them.
#[derive(Clone)]
pub struct MockRegistry(Arc<Inner>);

struct Inner {
    front: Front,
    state: Shared,
    /// There until the end.
    server: Option<MockServer>,
}

/// The server waits at its end for a lock of tokio's, with which a task that has had its turn would wait forever.
impl Drop for Inner {
    fn drop(&mut self) {
        let server = self.server.take();
        let end = pin!(coop::unconstrained(async { drop(server) }));
        _ = end.poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// What the registry holds, shared with those who answer.
type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockRegistry {
    /// Starts an empty registry that asks for no credentials.
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        let state = Shared::default();
        let front = Front::start(*server.address(), Arc::clone(&state)).await;
        lock(&state).host = front.address().to_string();
        Mock::given(any())
            .respond_with(Responder(Arc::clone(&state)))
            .with_priority(LAST)
            .mount(&server)
            .await;
        Self(Arc::new(Inner { front, state, server: Some(server) }))
    }

    /// Where the registry is, as it stands in a reference: `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.state().host.clone()
    }

    /// The same as the start of a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// The server that answers, for mocks of a test's own: they are asked before the registry. Its address
    /// is not the registry's.
    pub fn server(&self) -> &MockServer {
        self.0.server.as_ref().expect("it is there until the end")
    }

    /// Puts an image into a repository and points a tag at it, which moves if it was there. Returns the
    /// full reference.
    pub fn publish(&self, repository: &str, tag: &str, what: impl Into<Publishable>) -> String {
        self.state().publish(repository, tag, &what.into());
        format!("{}/{repository}:{tag}", self.host())
    }

    /// Puts any content into a repository under the digest that it has: as a document, which a tag may point at, and
    /// as a blob. Returns the full reference, by tag or by digest.
    pub fn put(&self, repository: &str, tag: Option<&str>, content: &Blob) -> String {
        self.state().put(repository, tag, content);
        match tag {
            Some(tag) => format!("{}/{repository}:{tag}", self.host()),
            None => format!("{}/{repository}@{}", self.host(), content.digest),
        }
    }

    /// Forgets a tag. What it pointed at can still be had by its digest.
    pub fn delete_tag(&self, repository: &str, tag: &str) {
        self.state().delete_tag(repository, tag);
    }

    /// Asks for these credentials from now on, and forgets all tokens.
    pub fn require(&self, auth: Auth) {
        self.state().require(auth);
    }

    /// Asks for credentials in these words from now on, each in a header of its own, or in none; but at `/v2/` as
    /// ever.
    pub fn challenge(&self, challenges: &[&str]) {
        self.state().challenges = Some(challenges.iter().map(ToString::to_string).collect());
    }

    /// Hands out tokens like this from now on.
    pub fn hand_out(&self, tokens: Tokens) {
        self.state().token_server = tokens;
    }

    /// Forgets all tokens, so that the next request with one is refused.
    pub fn expire_tokens(&self) {
        self.state().tokens.clear();
    }

    /// A token that is good for this scope, such as `repository:demo:pull`; for tests that mount a token
    /// endpoint of their own.
    pub fn issue_token(&self, scope: &str) -> String {
        self.state().issue_token(vec![scope.to_owned()])
    }

    /// Breaks like this until [`repair`](Self::repair).
    pub fn fail(&self, on: On, fault: Fault) {
        self.state().faults.add(on, fault, None);
    }

    /// Breaks like this for the next so many requests that it concerns.
    pub fn fail_next(&self, times: usize, on: On, fault: Fault) {
        self.state().faults.add(on, fault, Some(times));
    }

    /// Serves these bytes as the content with this digest, under all its names, until
    /// [`repair`](Self::repair). The headers go on to claim the digest.
    pub fn replace(&self, digest: &Digest, bytes: impl Into<Bytes>) {
        self.state().replaced.insert(digest.clone(), bytes.into());
    }

    /// Ends all faults and replacements. Credentials are still asked for.
    pub fn repair(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.replaced.clear();
    }

    /// Refuses connections from now on; those that there are break. Returns when that is so.
    pub async fn go_down(&self) {
        self.0.front.go(false).await;
    }

    /// Takes connections again, on the same port. Returns when that is so.
    pub async fn go_up(&self) {
        self.0.front.go(true).await;
    }

    /// From now on holds every blob's response after so many bytes of its body, until the gate is released.
    /// Shorter ones pass.
    pub fn hold_blobs(&self, after: u64) -> Gate {
        let (gate, turnstile) = Gate::closed();
        self.state().hold = Some(Hold { after, turnstile });
        gate
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.state().requests.clone()
    }

    /// What was asked for so far.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.state().requests)
    }

    /// How many bytes of this blob or manifest were sent in answers to `GET`, of all requests together.
    pub fn bytes_served(&self, digest: &Digest) -> u64 {
        let state = self.state();
        state.requests.iter().filter(|seen| seen.digest.as_ref() == Some(digest)).map(|seen| seen.bytes).sum()
    }

    /// Starts counting anew.
    pub fn forget_requests(&self) {
        self.state().requests.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for MockRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MockRegistry").field(&self.host()).finish()
    }
}

struct Responder(Shared);

impl Respond for Responder {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        lock(&self.0).answer(&Asked::of(request)).into_template()
    }
}
