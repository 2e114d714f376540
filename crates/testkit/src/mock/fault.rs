//! The ways in which a mocked registry can break, as data.

use bytes::Bytes;
use hoist_core::Digest;

use super::answer::Answer;
use super::request::{Asked, Target};
use super::tags;
use crate::image::{flip_a_bit, gzip};

/// Which requests a fault concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// All of them.
    Everything,
    /// Those for manifests and indexes.
    Manifests,
    /// Those for configurations and layers.
    Blobs,
    /// Those for one blob, or for one manifest by its digest.
    Digest(Digest),
    /// Those for tokens.
    Tokens,
    /// Those for lists of tags.
    Tags,
}

impl On {
    fn covers(&self, asked: &Asked) -> bool {
        match self {
            Self::Everything => true,
            Self::Manifests => matches!(asked.target, Target::Manifest { .. }),
            Self::Blobs => matches!(asked.target, Target::Blob { .. }),
            Self::Digest(digest) => asked.digest().as_ref() == Some(digest),
            Self::Tokens => asked.target == Target::Token,
            Self::Tags => matches!(asked.target, Target::Tags { .. }),
        }
    }
}

/// What goes wrong. Faults that concern the same request add up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// This status, with an error body as the distribution spec has it.
    Status(u16),
    /// This status, with this body.
    Said(u16, String),
    /// 429, with this `Retry-After`: seconds, or a date.
    TooManyRequests(String),
    /// 200 with something else: its type, and the body.
    Document(String, String),
    /// 401, with this `WWW-Authenticate`, whatever credentials came along.
    Challenge(String),
    /// The connection breaks without an answer.
    HangUp,
    /// The connection breaks in the middle of the answer's head.
    HangUpInHead,
    /// The connection breaks in the middle of the body.
    CutShort,
    /// One bit of the body is wrong.
    FlippedBit,
    /// The body comes compressed, as by a proxy that does so whatever is asked for.
    Gzipped,
    /// `Docker-Content-Digest` names this.
    DigestHeader(String),
    /// There is no `Docker-Content-Digest`.
    NoDigestHeader,
    /// This `Content-Type` in place of the right one.
    ContentType(String),
    /// `HEAD` is answered 405.
    HeadRefused,
    /// `HEAD` is answered with this status.
    HeadStatus(u16),
    /// `HEAD` is answered with another `Content-Length` than `GET` is.
    HeadLength,
    /// The list of tags goes on here, by its `Link` header; nowhere where this is empty.
    Link(String),
    /// The list of tags goes on for ever.
    EndlessTags,
    /// `Range` is ignored: 200, with all of it.
    RangesIgnored,
    /// `Range` is answered 206 with the range behind the one asked for, as far as there is one.
    WrongRange,
    /// `Range` is answered 206 with the first half of the range asked for.
    ShortRange,
    /// `Range` is answered 416.
    RangesRefused,
    /// 307 to the same path under this URL, such as another [`MockRegistry`](crate::MockRegistry)'s
    /// [`url`](crate::MockRegistry::url); with a query that is as secret as a signature.
    Redirect(String),
}

/// What stands for the signature in the URL that a redirect leads to.
const SIGNATURE: &str = "X-Signature=canary-in-a-signed-url";

impl Fault {
    /// A login page, with status 200, in place of what was asked for.
    pub fn login_page() -> Self {
        Self::Document("text/html; charset=utf-8".to_owned(), "<html>Please log in.</html>".to_owned())
    }

    /// Whether there is anything in such a request to go wrong like this.
    fn concerns(&self, asked: &Asked) -> bool {
        match self {
            Self::HeadRefused | Self::HeadStatus(_) | Self::HeadLength => asked.is_head(),
            Self::CutShort | Self::FlippedBit | Self::Gzipped => !asked.is_head(),
            Self::RangesIgnored | Self::WrongRange | Self::ShortRange | Self::RangesRefused => {
                asked.range.is_some()
            }
            _ => true,
        }
    }

    /// The answer that is given in place of any other.
    fn instead(&self, asked: &Asked) -> Option<Answer> {
        match self {
            Self::Status(status) | Self::HeadStatus(status) => Some(Answer::error(*status)),
            Self::Said(status, body) => Some(Answer::said(*status, body.clone())),
            Self::TooManyRequests(after) => Some(Answer::error(429).header("retry-after", after)),
            Self::Document(content_type, body) => Some(Answer::ok(content_type, body.clone())),
            Self::Challenge(challenge) => Some(Answer::error(401).header("www-authenticate", challenge)),
            Self::HangUp => Some(Answer { hang_up: Some(0), ..Answer::error(500) }),
            Self::HangUpInHead => Some(Answer { hang_up: Some(HEAD_PART), ..Answer::error(500) }),
            Self::HeadRefused => Some(Answer::error(405)),
            Self::EndlessTags => Some(tags::endless(asked)),
            Self::RangesRefused => Some(Answer::error(416)),
            Self::Redirect(to) => {
                let location = format!("{to}{}?{SIGNATURE}", asked.path);
                Some(Answer { body: Bytes::new(), ..Answer::error(307) }.header("location", location))
            }
            _ => None,
        }
    }

    /// The request as a registry takes it that does not understand it right.
    fn misread(&self, asked: &mut Asked) {
        match self {
            Self::RangesIgnored => asked.range = None,
            Self::WrongRange => asked.range = asked.range.as_deref().map(|range| reshape(range, behind)),
            Self::ShortRange => asked.range = asked.range.as_deref().map(|range| reshape(range, half)),
            _ => {}
        }
    }

    /// The answer as it leaves the registry.
    fn spoil(&self, answer: Answer) -> Answer {
        match self {
            Self::CutShort => Answer { cut: Some(answer.body.len() as u64 / 2), ..answer },
            Self::FlippedBit => Answer { body: flip_a_bit(&answer.body), ..answer },
            Self::Gzipped => Answer { body: gzip(&answer.body), ..answer }.header("content-encoding", "gzip"),
            Self::DigestHeader(digest) => answer.without(DIGEST_HEADER).header(DIGEST_HEADER, digest),
            Self::NoDigestHeader => answer.without(DIGEST_HEADER),
            Self::HeadLength => Answer { body: answer.body.slice(answer.body.len() / 2..), ..answer },
            Self::Link(target) if target.is_empty() => answer.without(tags::LINK),
            Self::Link(target) => answer.without(tags::LINK).header(tags::LINK, target),
            Self::ContentType(content_type) => Answer { content_type: content_type.clone(), ..answer },
            _ => answer,
        }
    }
}

/// The header in which a registry names what it sends.
pub(super) const DIGEST_HEADER: &str = "docker-content-digest";

/// How much of a head is sent before the connection breaks in it: a status, and no whole header.
const HEAD_PART: u64 = 20;

/// Another range in the place of a closed one.
fn reshape(range: &str, shape: fn(u64, u64) -> (u64, u64)) -> String {
    let closed = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    match closed.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?))) {
        Some((first, last)) => {
            let (first, last) = shape(first, last);
            format!("bytes={first}-{last}")
        }
        None => range.to_owned(),
    }
}

/// One byte less, from the second byte on.
fn behind(first: u64, last: u64) -> (u64, u64) {
    (first + 1, last)
}

/// The first half.
fn half(first: u64, last: u64) -> (u64, u64) {
    (first, first + (last - first) / 2)
}

/// The faults that are in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Active>);

#[derive(Debug)]
struct Active {
    on: On,
    fault: Fault,
    /// How many more requests it concerns; `None`: all that come.
    left: Option<usize>,
}

impl Faults {
    pub(super) fn add(&mut self, on: On, fault: Fault, left: Option<usize>) {
        self.0.push(Active { on, fault, left });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Answers a request with all that is wrong; `serve` answers it right.
    pub(super) fn around(&mut self, asked: &Asked, serve: impl FnOnce(&Asked) -> Answer) -> Answer {
        let faults = self.take(asked);
        let instead = faults.iter().find_map(|fault| fault.instead(asked));
        let answer = instead.unwrap_or_else(|| {
            let mut asked = asked.clone();
            for fault in &faults {
                fault.misread(&mut asked);
            }
            serve(&asked)
        });
        faults.iter().fold(answer, |answer, fault| fault.spoil(answer))
    }

    /// Those that concern this request, which counts for each of them.
    fn take(&mut self, asked: &Asked) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.0.retain_mut(|active| {
            if active.on.covers(asked) && active.fault.concerns(asked) {
                faults.push(active.fault.clone());
                active.left = active.left.map(|left| left.saturating_sub(1));
            }
            active.left != Some(0)
        });
        faults
    }
}
