//! The one error type: a kind to match on, a sentence to read, what to do next, and the cause.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Platform;
use crate::text::clean;

/// What every fallible function of hoist returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in a form that callers can match on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The reference, digest or platform does not parse.
    InvalidReference,
    /// The configuration is wrong or contradicts itself.
    InvalidConfig,
    /// The origin was asked, and has no such image.
    NotFound,
    /// The registry wants credentials, or refused those it was given (HTTP 401).
    Unauthorized,
    /// The credentials are good, but do not allow this (HTTP 403).
    Forbidden,
    /// Too many requests (HTTP 429, or 503 that says when to come back), with how long the registry asked to wait,
    /// where it said so.
    RateLimited {
        /// The registry's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The origin could not be reached, broke off, or failed (HTTP 5xx).
    Unavailable,
    /// The TLS handshake failed: an unknown authority, a wrong name, an expired certificate.
    Tls,
    /// The image is not made for the platform asked for.
    PlatformMissing {
        /// The platforms that it is made for.
        available: Vec<Platform>,
    },
    /// Bytes that do not hash to the digest they were asked for by.
    DigestMismatch,
    /// More or fewer bytes than the descriptor says.
    SizeMismatch,
    /// A document that is not what it should be: no JSON, contradictory, or not a manifest.
    Malformed,
    /// A format or feature that this build does not read.
    Unsupported,
    /// The image may not be handed out: an [`Admission`](crate::Admission) says so.
    Refused,
    /// A document larger than it may be.
    TooLarge,
    /// The disk or the quota is full.
    NoSpace,
    /// The local disk failed, or what is on it is not what should be.
    Storage,
}

impl ErrorKind {
    /// The kind in a word, for logs and metrics: `not_found`, `rate_limited`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InvalidReference => "invalid_reference",
            Self::InvalidConfig => "invalid_config",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Tls => "tls",
            Self::PlatformMissing { .. } => "platform_missing",
            Self::DigestMismatch => "digest_mismatch",
            Self::SizeMismatch => "size_mismatch",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::NoSpace => "no_space",
            Self::Storage => "storage",
        }
    }
}

/// An error: what was being done, to what, and of which kind.
///
/// `Display` is one sentence, which never repeats the cause: that is in [`source`](StdError::source).
/// [`report`](Self::report) joins them all into the one line that a person should see. It is cheap to
/// clone, so that all who wait for one pull can be told of its failure.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    help: Option<Box<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message says what was being done, to what, and what was wrong. It is made one
    /// line of bounded length, without control characters: parts of it may come from a server.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: clean(&message.to_string()).into(), help: None, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Adds what the user can do next, as a clause in the imperative: "check the name and the tag". An option
    /// is called as the configuration calls it, in backquotes: `root`.
    #[must_use]
    pub fn with_help(self, help: impl fmt::Display) -> Self {
        Self { help: Some(clean(&help.to_string()).into()), ..self }
    }

    /// Says what was being done when this happened; this error becomes the cause of the new one, which
    /// keeps its kind.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display) -> Self {
        Self::new(self.kind.clone(), doing).with_source(self)
    }

    /// An error of the local disk while doing something: a full disk or quota is told from all else.
    pub fn io(doing: impl fmt::Display, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match cause.kind() {
            Io::StorageFull | Io::QuotaExceeded => Self::new(ErrorKind::NoSpace, doing)
                .with_help("free some space, or choose another directory with `root`"),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::new(ErrorKind::Storage, doing)
                .with_help("choose a directory that this user may write, with `root`"),
            _ => Self::new(ErrorKind::Storage, doing),
        }
        .with_source(cause)
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What to do next: this error's own advice, or else that of the nearest cause that has any.
    pub fn help(&self) -> Option<&str> {
        self.causes().find_map(|error| error.help.as_deref())
    }

    /// Whether the same request may succeed when it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::RateLimited { .. })
    }

    /// The whole story in one line: this error, its causes each once, and what to do next.
    pub fn report(&self) -> String {
        let mut line = self.message.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = clean(&error.to_string());
            if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        match self.help() {
            Some(help) => format!("{line}; {help}"),
            None => line,
        }
    }

    /// This error and its causes, as far down as they are of this type.
    fn causes(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |&error| error.source()?.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    /// The cause itself, and not the pointer to it that clones share: so it can be downcast.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_can_be_told_by_its_type() {
        let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io("cannot write a blob", cause).context("cannot pull demo");
        let inner = error.source().and_then(|cause| cause.downcast_ref::<Error>()).unwrap();
        assert_eq!(*inner.kind(), ErrorKind::NoSpace);
        assert!(inner.source().unwrap().is::<std::io::Error>());
    }

    #[test]
    fn a_report_names_each_cause_once_and_ends_with_the_advice() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::new(ErrorKind::Unavailable, "cannot reach 127.0.0.1:1")
            .with_source(cause)
            .with_help("is the registry running?")
            .context("cannot pull 127.0.0.1:1/demo:v1");
        assert_eq!(
            error.report(),
            "cannot pull 127.0.0.1:1/demo:v1: cannot reach 127.0.0.1:1: connection refused; is the registry running?"
        );
        assert_eq!(error.to_string(), "cannot pull 127.0.0.1:1/demo:v1");
        assert!(error.is_transient());
    }

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let full = Error::io("cannot write a blob", std::io::ErrorKind::StorageFull.into());
        assert_eq!(*full.kind(), ErrorKind::NoSpace);
        let other = Error::io("cannot write a blob", std::io::ErrorKind::NotFound.into());
        assert_eq!((other.kind(), other.help()), (&ErrorKind::Storage, None));
        let closed = Error::io("cannot write a blob", std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(*closed.kind(), ErrorKind::Storage);
        assert!(closed.help().unwrap().contains("`root`"));
    }

    #[test]
    fn a_kind_is_a_word_of_its_own_and_only_two_are_worth_another_try() {
        let kinds = [
            ErrorKind::InvalidReference,
            ErrorKind::InvalidConfig,
            ErrorKind::NotFound,
            ErrorKind::Unauthorized,
            ErrorKind::Forbidden,
            ErrorKind::RateLimited { retry_after: None },
            ErrorKind::Unavailable,
            ErrorKind::Tls,
            ErrorKind::PlatformMissing { available: Vec::new() },
            ErrorKind::DigestMismatch,
            ErrorKind::SizeMismatch,
            ErrorKind::Malformed,
            ErrorKind::Unsupported,
            ErrorKind::TooLarge,
            ErrorKind::NoSpace,
            ErrorKind::Storage,
        ];
        let words: Vec<_> = kinds.iter().map(ErrorKind::as_str).collect();
        assert_eq!(words.iter().collect::<std::collections::HashSet<_>>().len(), kinds.len(), "{words:?}");
        assert!(
            words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
            "{words:?}"
        );
        let transient = kinds.into_iter().filter(|kind| Error::new(kind.clone(), "").is_transient());
        let words: Vec<_> = transient.map(|kind| kind.as_str()).collect();
        assert_eq!(words, ["rate_limited", "unavailable"]);
    }
}
