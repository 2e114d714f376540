//! Errors of the file system: which path they name, and which of them tell of damage.

use std::fmt::Display;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};
use rustix::io::Errno;

/// An error of the file system, naming what was being done to which path.
pub(crate) fn fail(doing: impl Display, path: &Path, cause: impl Into<std::io::Error>) -> Error {
    Error::io(format!("cannot {doing} {}", path.display()), cause.into())
}

/// Whether an error says that what is there is not what it should be, or that the disk does not give it back: and not that
/// it could not be looked at for now.
pub(crate) fn is_damage(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let is_of_the_disk =
        |code| [Errno::IO, Errno::BADMSG, Errno::UCLEAN].map(Errno::raw_os_error).contains(&code);
    cause.is_none_or(|cause| cause.raw_os_error().is_some_and(is_of_the_disk))
}

/// What was looked for. `None`: it is not there, or is not what it should be.
pub(crate) fn unless_damaged<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if is_damage(&error) => Ok(None),
        found => found,
    }
}

pub(crate) fn unexpected(path: &Path, wanted: &str) -> Error {
    Error::new(ErrorKind::Storage, format!("{} is not {wanted}", path.display()))
        .with_help("something else wrote there; move it away and try again")
}
