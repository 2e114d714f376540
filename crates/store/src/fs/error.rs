//! File system errors: which path they name, and which of them mean damage.

use std::fmt::Display;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};
use rustix::io::Errno;

/// A file system error that names the operation and the path.
pub(crate) fn fail(doing: impl Display, path: &Path, cause: impl Into<std::io::Error>) -> Error {
    Error::io(format!("cannot {doing} {}", path.display()), cause.into())
}

/// Whether an error means that the content is not as it should be, or that the disk cannot return it, rather
/// than that it could not be read for now.
pub(crate) fn is_damage(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let is_of_the_disk =
        |code| [Errno::IO, Errno::BADMSG, Errno::UCLEAN].map(Errno::raw_os_error).contains(&code);
    cause.is_none_or(|cause| cause.raw_os_error().is_some_and(is_of_the_disk))
}

/// Whether an error means that this process may not, or cannot, write to the store: it is read-only, belongs to
/// another user, or is full. What the store has can still be read.
pub(crate) fn cannot_write(error: &Error) -> bool {
    let refused =
        [Errno::ROFS, Errno::ACCESS, Errno::PERM, Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    let mut causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |&e| e.source());
    let code = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error());
    code.is_some_and(|code| refused.contains(&code))
}

/// Turns damage into `None`: the entry is missing, or is not what it should be.
pub(crate) fn unless_damaged<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if is_damage(&error) => Ok(None),
        found => found,
    }
}

pub(crate) fn unexpected(path: &Path, wanted: &str) -> Error {
    Error::new(ErrorKind::Storage, format!("{} is not {wanted}", path.display()))
        .with_help("another program wrote there; move it away and try again")
}
