//! What a mocked registry holds, and how it answers from it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use hoist_core::Digest;

use super::answer::Answer;
use super::auth::{Auth, is_forbidden};
use super::fault::{DIGEST_HEADER, Faults};
use super::gate::Turnstile;
use super::request::{Asked, Target};
use super::seen::Seen;
use super::tags;
use super::tokens::Tokens;
use crate::image::{Blob, Publishable};

/// All of a mocked registry but its sockets.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) host: String,
    repositories: HashMap<String, Repository>,
    auth: Auth,
    /// What is said in place of the challenge that fits.
    pub(super) challenges: Option<Vec<String>>,
    pub(super) tokens: HashMap<String, Vec<String>>,
    tokens_issued: usize,
    pub(super) token_server: Tokens,
    refresh_tokens: HashSet<String>,
    pub(super) faults: Faults,
    pub(super) replaced: HashMap<Digest, Bytes>,
    pub(super) hold: Option<Hold>,
    pub(super) requests: Vec<Seen>,
}

#[derive(Debug, Default)]
struct Repository {
    tags: HashMap<String, Digest>,
    documents: HashMap<Digest, Blob>,
    blobs: HashMap<Digest, Blob>,
}

/// Where blobs are held on their way out.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) after: u64,
    pub(super) turnstile: Turnstile,
}

impl State {
    pub(super) fn publish(&mut self, repository: &str, tag: &str, what: &Publishable) {
        let by_digest = |blob: &Blob| (blob.digest.clone(), blob.clone());
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.documents.extend(what.documents().into_iter().map(by_digest));
        repository.blobs.extend(what.blobs().map(by_digest));
        repository.tags.insert(tag.to_owned(), what.digest().clone());
    }

    /// Adds content under its digest, and under a tag if there is one: as a document, and as a blob.
    pub(super) fn put(&mut self, repository: &str, tag: Option<&str>, content: &Blob) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.documents.insert(content.digest.clone(), content.clone());
        repository.blobs.insert(content.digest.clone(), content.clone());
        repository.tags.extend(tag.map(|tag| (tag.to_owned(), content.digest.clone())));
    }

    pub(super) fn delete_tag(&mut self, repository: &str, tag: &str) {
        if let Some(repository) = self.repositories.get_mut(repository) {
            repository.tags.remove(tag);
        }
    }

    pub(super) fn require(&mut self, auth: Auth) {
        self.auth = auth;
        self.tokens.clear();
        self.refresh_tokens.clear();
    }

    pub(super) fn issue_token(&mut self, scopes: Vec<String>) -> String {
        self.tokens_issued += 1;
        let token = format!("token-{}", self.tokens_issued);
        self.tokens.insert(token.clone(), scopes);
        token
    }

    /// Answers a request, and keeps it for those who count.
    pub(super) fn answer(&mut self, asked: &Asked) -> Answer {
        let answer = match asked.target {
            Target::Token => self.answer_token(asked),
            _ if self.auth.admits(asked, &self.tokens) => self.answer_admitted(asked),
            _ if is_forbidden(asked, &self.tokens) => Answer::error(403),
            _ => self.challenge(asked),
        };
        self.requests.push(Seen::of(asked, &answer));
        answer
    }

    fn challenge(&self, asked: &Asked) -> Answer {
        match &self.challenges {
            Some(challenges) if asked.target != Target::Ping => {
                let unauthorized = Answer::error(401);
                challenges.iter().fold(unauthorized, |answer, c| answer.header("www-authenticate", c))
            }
            _ => self.auth.challenge(&self.host, asked),
        }
    }

    fn answer_token(&mut self, asked: &Asked) -> Answer {
        let mut faults = std::mem::take(&mut self.faults);
        let answer = faults.around(asked, |asked| self.token(asked));
        self.faults = faults;
        answer
    }

    fn token(&mut self, asked: &Asked) -> Answer {
        if let Some(status) = self.token_server.refuses(&asked.method) {
            return Answer::error(status);
        }
        let judgement = match (asked.method.as_str(), asked.field("refresh_token")) {
            ("POST", Some(token)) if self.is_refresh_token(token) => Ok(asked.scopes.clone()),
            ("POST", Some(_)) => Err(401),
            ("GET" | "POST", _) => self.auth.judge(asked),
            _ => Err(405),
        };
        match judgement {
            Ok(scopes) => self.hand_out(scopes),
            Err(status) => Answer::error(status),
        }
    }

    fn is_refresh_token(&self, token: &str) -> bool {
        self.token_server.identity() == Some(token) || self.refresh_tokens.contains(token)
    }

    fn hand_out(&mut self, scopes: Vec<String>) -> Answer {
        let token = self.issue_token(scopes);
        let refresh = self.token_server.gives_refresh().then(|| format!("refresh-{token}"));
        self.refresh_tokens.extend(refresh.clone());
        Answer::ok("application/json", self.token_server.document(&token, refresh.as_deref()))
    }

    fn answer_admitted(&mut self, asked: &Asked) -> Answer {
        let mut faults = std::mem::take(&mut self.faults);
        let answer = faults.around(asked, |asked| self.serve(asked));
        self.faults = faults;
        let is_blob = matches!(asked.target, Target::Blob { .. });
        Answer { hold: self.hold.as_ref().filter(|_| is_blob).map(|hold| hold.after), ..answer }
    }

    fn serve(&self, asked: &Asked) -> Answer {
        match &asked.target {
            Target::Ping => Answer::ok("application/json", "{}"),
            Target::Manifest { repository, selector } => match self.document(repository, selector) {
                Some(document) => self.content(document),
                None => Answer::error(404),
            },
            Target::Blob { repository, selector } => match self.blob(repository, selector) {
                Some(blob) => ranged(asked, self.content(blob)),
                None => Answer::error(404),
            },
            Target::Tags { repository } => match self.repositories.get(repository) {
                Some(found) => tags::page(asked, repository, found.tags.keys()),
                None => Answer::error(404),
            },
            Target::Token | Target::Other => Answer::error(404),
        }
    }

    fn document(&self, repository: &str, selector: &str) -> Option<&Blob> {
        let repository = self.repositories.get(repository)?;
        match repository.tags.get(selector) {
            Some(digest) => repository.documents.get(digest),
            None => repository.documents.get(&selector.parse().ok()?),
        }
    }

    fn blob(&self, repository: &str, selector: &str) -> Option<&Blob> {
        self.repositories.get(repository)?.blobs.get(&selector.parse().ok()?)
    }

    fn content(&self, blob: &Blob) -> Answer {
        let bytes = self.replaced.get(&blob.digest).unwrap_or(&blob.bytes);
        Answer::ok(&blob.media_type, bytes.clone()).header(DIGEST_HEADER, blob.digest.to_string())
    }
}

/// The part of the content that was asked for
/// ([RFC 9110, 14](https://www.rfc-editor.org/rfc/rfc9110#section-14)).
fn ranged(asked: &Asked, whole: Answer) -> Answer {
    let len = whole.body.len() as u64;
    match asked.range_of(len).filter(|_| !asked.is_head()) {
        None => whole,
        Some(Err(())) => Answer::error(416).header("content-range", format!("bytes */{len}")),
        Some(Ok(range)) => {
            let (first, last) = (*range.start(), *range.end());
            let position = |n: u64| usize::try_from(n).expect("a position in memory");
            let body = whole.body.slice(position(first)..=position(last));
            Answer { status: 206, body, ..whole }
                .header("content-range", format!("bytes {first}-{last}/{len}"))
        }
    }
}
