//! Prints results to stdout and everything else to stderr, above the progress. A closed pipe, as after `head`, is not
//! an error.

pub(crate) mod human;
pub(crate) mod screen;
pub(crate) mod style;

use std::io::{ErrorKind as Io, Write, stderr, stdout};

use hoist::{Error, Result};
use serde::Serialize;

/// Prints a result: as JSON, or as a line of text.
pub(crate) fn result(json: bool, value: &impl Serialize, line: impl FnOnce() -> Vec<u8>) -> Result<()> {
    let mut text =
        if json { serde_json::to_vec(value).map_err(|cause| failed(cause.into()))? } else { line() };
    text.push(b'\n');
    document(&text)
}

/// Prints a document byte for byte, so that its digest can be checked.
pub(crate) fn document(bytes: &[u8]) -> Result<()> {
    let mut stdout = stdout();
    match screen::above(|| stdout.write_all(bytes).and_then(|()| stdout.flush())) {
        Err(cause) if cause.kind() != Io::BrokenPipe => Err(failed(cause)),
        _ => Ok(()),
    }
}

fn failed(cause: std::io::Error) -> Error {
    Error::io("cannot print a result", cause)
}

/// Options that errors mention: their names in the configuration, and on the command line.
const OPTIONS: [(&str, &str); 6] = [
    ("`root`", "--root"),
    ("`allow-network-file-system`", "--allow-network-file-system"),
    ("`platform`", "--platform"),
    ("`plain-http`", "--plain-http"),
    ("`replace`", "--replace"),
    ("`name`", "--name REPOSITORY[:TAG]"),
];

/// Prints an error in one line.
pub(crate) fn error(error: &Error) {
    let report = with_flags(error.report());
    note(&format!("{} {report}", style::paint(style::ERROR, "hoist:")));
}

/// Options by their names on the command line.
pub(crate) fn with_flags(report: String) -> String {
    OPTIONS.iter().fold(report, |line, (key, flag)| line.replace(key, flag))
}

/// Prints a line to stderr.
pub(crate) fn note(line: &str) {
    screen::above(|| _ = writeln!(stderr(), "{line}"));
}
