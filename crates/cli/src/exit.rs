//! Exit codes: one for each kind of error, so that a script can tell what to do next.

use std::process::ExitCode;

use hoist::ErrorKind;

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done
   1  is-cached: the image is not here
   2  wrong usage, reference, platform or configuration
   3  there is no such image
   4  the image is not made for this platform
   5  the registry wants other credentials
   6  the registry asks to come back later
   7  the registry cannot be reached, or fails
   8  the TLS connection is not to be trusted
   9  the content is not what it should be, and was not kept
  10  the format or feature is not supported
  11  the disk is full
  12  the store cannot be read or written
  13  fsck: something was damaged, repaired or not
  14  the image may not be handed out, as `admission` in the configuration has it
 130  interrupted, as by Ctrl-C";

/// `fsck` found something.
pub(crate) const DAMAGED: u8 = 13;

/// It was interrupted: as a shell has it, 128 and the number of the signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of an error of this kind.
pub(crate) fn code(kind: &ErrorKind) -> ExitCode {
    use ErrorKind as Kind;
    ExitCode::from(match kind {
        Kind::InvalidReference | Kind::InvalidConfig => 2,
        Kind::NotFound => 3,
        Kind::PlatformMissing { .. } => 4,
        Kind::Unauthorized | Kind::Forbidden => 5,
        Kind::RateLimited { .. } => 6,
        Kind::Unavailable => 7,
        Kind::Tls => 8,
        Kind::DigestMismatch | Kind::SizeMismatch | Kind::Malformed | Kind::TooLarge => 9,
        Kind::Unsupported => 10,
        Kind::NoSpace => 11,
        Kind::Refused => 14,
        _ => 12,
    })
}
