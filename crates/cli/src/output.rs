//! Results for stdout, and errors for stderr. A reader that has gone, as `head` does, is no error.

use std::io::{Write, stderr, stdout};

use hoist::Error;
use serde::Serialize;

/// Prints a result: as JSON, or as the line that a person or a script would want.
pub(crate) fn result(json: bool, value: &impl Serialize, line: impl FnOnce() -> String) {
    let text = if json { serde_json::to_string(value).unwrap_or_default() } else { line() };
    _ = writeln!(stdout(), "{text}");
}

/// Prints an error in one line.
pub(crate) fn error(error: &Error) {
    _ = writeln!(stderr(), "hoist: {}", error.report());
}
