//! Exit codes: each kind of error has one, so that a script can decide what to do next.

use std::process::ExitCode;

use hoist::ErrorKind;

/// The section of `--help` about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done
   1  is-cached: the image is not cached
   2  wrong usage, reference, platform or configuration
   3  the image does not exist
   4  the image does not support this platform
   5  the registry requires credentials, or rejects those it got
   6  the registry asks to retry later (rate limit)
   7  the registry cannot be reached, or fails
   8  the TLS connection cannot be trusted
   9  the content failed verification, and was not kept
  10  the format or feature is not supported
  11  the disk is full
  12  the store cannot be read or written
  13  fsck found damage, whether or not it was repaired
  14  the image may not be handed out, according to `admission` in the configuration
  15  doctor found something wrong
 130  interrupted, for example by Ctrl-C";

/// `fsck` found damage.
pub(crate) const DAMAGED: u8 = 13;

/// `doctor` found something wrong.
pub(crate) const UNWELL: u8 = 15;

/// The command was interrupted. Like a shell, 128 plus the number of the signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code for this kind of error.
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
