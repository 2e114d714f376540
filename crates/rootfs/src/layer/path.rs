//! Paths in archives: made plain, or refused.

use hoist_core::{Error, Result};

use crate::tar::malformed;

/// The longest name of a file, of Linux's `NAME_MAX`.
const MAX_NAME: usize = 255;

/// The longest path, of Linux's `PATH_MAX`.
const MAX_PATH: usize = 4096;

const WHITEOUT: &[u8] = b".wh.";

/// A prefix of names that AUFS used for itself, and the one of them that layers use.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry's path says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// The root directory.
    Root,
    /// A name in a directory.
    Name(Vec<&'a [u8]>, &'a [u8]),
    /// The directory does not show what lower layers have in it.
    Opaque(Vec<&'a [u8]>),
    /// Lower layers' entry of this name is removed.
    Whiteout(Vec<&'a [u8]>, &'a [u8]),
    /// A file that AUFS left behind.
    Ignored,
}

/// Reads the path of an entry: relative to the root, whether or not it begins with a slash.
///
/// Refused are `..`, names and paths that Linux cannot have, and whiteouts of nothing.
pub(crate) fn place(path: &[u8]) -> Result<Place<'_>> {
    let mut names = components(path)?;
    let is_aufs = |name: &&[u8]| name.starts_with(AUFS);
    if names.iter().rev().skip(1).any(is_aufs) {
        return Ok(Place::Ignored);
    }
    let Some(name) = names.pop() else { return Ok(Place::Root) };
    if names.iter().any(|name| name.starts_with(WHITEOUT)) {
        return Err(refused(path, "has a whiteout as a directory"));
    }
    if name == OPAQUE {
        return Ok(Place::Opaque(names));
    }
    match name.strip_prefix(WHITEOUT) {
        _ if is_aufs(&name) => Ok(Place::Ignored),
        Some(b"" | b"." | b"..") => Err(refused(path, "is a whiteout of nothing")),
        Some(hidden) => Ok(Place::Whiteout(names, hidden)),
        None => Ok(Place::Name(names, name)),
    }
}

/// The names of a path, without empty ones and `.`.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    if path.is_empty() {
        return Err(malformed("an entry has an empty path"));
    }
    if path.len() > MAX_PATH {
        return Err(malformed(format!("an entry's path is longer than {MAX_PATH} bytes")));
    }
    let names: Vec<_> =
        path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    for name in &names {
        check_name(path, name)?;
    }
    Ok(names)
}

fn check_name(path: &[u8], name: &[u8]) -> Result<()> {
    match name {
        b".." => Err(refused(path, "contains `..`")),
        name if name.len() > MAX_NAME => Err(refused(path, "contains a name that is longer than 255 bytes")),
        name if name.contains(&0) => Err(refused(path, "contains a NUL byte")),
        _ => Ok(()),
    }
}

fn refused(path: &[u8], why: &str) -> Error {
    malformed(format!("the path {} {why}", String::from_utf8_lossy(path)))
}
