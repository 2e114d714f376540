//! The error type: a kind to match on, a message, advice on what to do next, and the cause.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Platform;
use crate::text::clean;

/// The result of every fallible function of hoist.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an error, for callers to match on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The reference, digest or platform does not parse.
    InvalidReference,
    /// The configuration is wrong, or contradicts itself.
    InvalidConfig,
    /// The origin answered that it has no such image.
    NotFound,
    /// The registry requires credentials, or rejected the given ones (HTTP 401).
    Unauthorized,
    /// The credentials are valid, but do not allow this (HTTP 403).
    Forbidden,
    /// The registry got too many requests (HTTP 429, or 503 with a `Retry-After`).
    RateLimited {
        /// The time to wait before a retry, from the registry's `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// The origin could not be reached, closed the connection early, or failed (HTTP 5xx).
    Unavailable,
    /// The TLS handshake failed: an unknown authority, a wrong host name, or an expired certificate, for
    /// example.
    Tls,
    /// The image is not made for the requested platform.
    PlatformMissing {
        /// The platforms that the image is made for.
        available: Vec<Platform>,
    },
    /// The bytes do not match the digest by which they were requested.
    DigestMismatch,
    /// There are more or fewer bytes than the descriptor says.
    SizeMismatch,
    /// A document is not valid JSON, contradicts itself, or is not a manifest.
    Malformed,
    /// A format or feature that this build does not support.
    Unsupported,
    /// An [`Admission`](crate::Admission) policy does not allow the image to be handed out.
    Refused,
    /// A document exceeds the maximum size.
    TooLarge,
    /// The disk or the quota is full.
    NoSpace,
    /// The local disk failed, or its content is not as it should be.
    Storage,
}

impl ErrorKind {
    /// The kind as an identifier for logs and metrics, such as `not_found` or `rate_limited`.
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

/// An error: the failed operation, its object, and the kind of failure.
///
/// `Display` prints one sentence, which never repeats the cause; the cause is in [`source`](StdError::source).
/// [`report`](Self::report) joins all of them into one line for the user. Errors are cheap to clone, so that
/// every caller that waits for the same pull can get its error.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    help: Option<Box<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of this kind. The message says what was being done, to what, and what went wrong. It is
    /// reduced to one line of bounded length, without control characters, because parts of it may come from a
    /// server.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: clean(&message.to_string()).into(), help: None, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Adds what the user can do next, as an imperative clause: "check the name and the tag". Options have
    /// their names of the configuration, in backquotes: `root`.
    #[must_use]
    pub fn with_help(self, help: impl fmt::Display) -> Self {
        Self { help: Some(clean(&help.to_string()).into()), ..self }
    }

    /// Adds the operation during which this error happened. This error becomes the cause of the new one, which
    /// has the same kind.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display) -> Self {
        Self::new(self.kind.clone(), doing).with_source(self)
    }

    /// Creates an error of the local disk during an operation. A full disk or quota gets the kind
    /// [`NoSpace`](ErrorKind::NoSpace), everything else [`Storage`](ErrorKind::Storage).
    pub fn io(doing: impl fmt::Display, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match cause.kind() {
            Io::StorageFull | Io::QuotaExceeded => Self::new(ErrorKind::NoSpace, doing)
                .with_help("free some space, or choose another directory with `root`"),
            Io::ReadOnlyFilesystem => Self::new(ErrorKind::Storage, doing)
                .with_help("choose a directory that this user may write, with `root`"),
            Io::PermissionDenied => Self::new(ErrorKind::Storage, doing)
                .with_help("give this user access to it; a store may be in another directory, with `root`"),
            _ => Self::new(ErrorKind::Storage, doing),
        }
        .with_source(cause)
    }

    /// The kind of the error.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What to do next: this error's own advice, or else that of the nearest cause with advice.
    pub fn help(&self) -> Option<&str> {
        self.causes().find_map(|error| error.help.as_deref())
    }

    /// Whether the same request may succeed if it is retried.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::RateLimited { .. })
    }

    /// The full error in one line: this error, each of its causes once, and what to do next.
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

    /// This error and its causes, as long as they have this type.
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
    /// Returns the cause itself, rather than the `Arc` around it, so that it can be downcast.
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
