//! The store's root: created, checked and protected when a store is opened, and upgraded to the current format.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hoist_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::fs::dir::{Dir, cannot_write, fail};
use crate::fs::lock;
use crate::fs::scratch::Scratch;
use crate::paths::journal_of;

/// The version of the store format that this code reads and writes.
const FORMAT: u32 = 2;
/// Only the owner can read a store, because images can be private.
const ROOT_MODE: u32 = 0o700;
/// The mode if a group can read the store.
const GROUP_MODE: u32 = 0o750;
const PARENT_MODE: u32 = 0o777; // as for any directory: the user's umask restricts it
/// `mkfs` and `fsck` create it at the root of a volume, for files that have lost their names.
const LOST_AND_FOUND: &str = "lost+found";
const MAX_STORE_JSON: u64 = 64 << 10; // the file has a few bytes; a larger one is not ours

/// `store.json`: what a program must know before it touches anything else in the store.
#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

pub(super) fn absolute(root: &Path) -> Result<PathBuf> {
    std::path::absolute(root).map_err(|e| fail("find", root, e))
}

/// Creates the root and the directories above it, if they are missing.
pub(super) fn create_root(root: &Path, durable: bool) -> Result<()> {
    let missing: Vec<_> = root.ancestors().take_while(|dir| !dir.is_dir()).collect();
    for dir in missing.into_iter().rev() {
        let mode = if dir == root { ROOT_MODE } else { PARENT_MODE };
        match std::fs::DirBuilder::new().mode(mode).create(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(fail("create", dir, e)),
            _ => Dir::open(dir.parent().unwrap_or(dir), durable)?.sync()?,
        }
    }
    Ok(())
}

pub(super) fn check_locks(root: &Dir) -> Result<()> {
    root.file().lock_shared().and_then(|()| root.file().unlock()).map_err(|cause| {
        let what = format!("the file system of {} has no working locks", root.path().display());
        Error::new(ErrorKind::Unsupported, what)
            .with_source(cause)
            .with_help("keep the store on a local file system, such as ext4, xfs or btrfs")
    })
}

pub(super) fn check_format(root: &Dir) -> Result<()> {
    let Some(bytes) = root.read("store.json", MAX_STORE_JSON)? else { return write_format(root) };
    let path = root.path().display();
    let Format { format } = serde_json::from_slice(&bytes).map_err(|cause| {
        Error::new(ErrorKind::Storage, format!("{path}/store.json cannot be read"))
            .with_source(cause)
            .with_help(format!(
                "if this is a store, that file is damaged: it should have {{\"format\":{FORMAT}}} in it"
            ))
    })?;
    if format > FORMAT {
        let message = format!("the store in {path} has format {format}, and this hoist reads up to {FORMAT}");
        return Err(Error::new(ErrorKind::Unsupported, message).with_help("use a newer hoist"));
    }
    if format < FORMAT {
        return match take_over_all(root).and_then(|()| write_store_json(root)) {
            // The formats differ only in unfinished blobs, which a store that cannot be written does without.
            Err(error) if cannot_write(&error) => {
                tracing::debug!(error = error.report(), "an older store stays as it is");
                Ok(())
            }
            outcome => outcome,
        };
    }
    Ok(())
}

/// Turns an empty directory into a store. A directory with other content stays as it is.
fn write_format(root: &Dir) -> Result<()> {
    let is_ours = |name: &str| ["store.json", "staging", LOST_AND_FOUND].contains(&name);
    let others = root.entries()?.find(|entry| entry.as_ref().map_or(true, |entry| !is_ours(&entry.name)));
    if others.transpose()?.is_some() && root.stat("store.json")?.is_none() {
        let message = format!("{} is neither empty nor a store of hoist", root.path().display());
        return Err(Error::new(ErrorKind::Storage, message).with_help("choose another directory with `root`"));
    }
    close_to_others(root.path())?;
    write_store_json(root)
}

/// Records the format version, once the whole store has this format.
fn write_store_json(root: &Dir) -> Result<()> {
    let scratch = Scratch::new(root)?;
    scratch.dir().write_new("store.json", format!("{{\"format\":{FORMAT}}}\n").as_bytes())?;
    scratch.dir().rename("store.json", root, "store.json")?;
    root.sync()
}

/// Removes the group's and other users' rights on a directory. The owner's rights stay as they are.
fn close_to_others(path: &Path) -> Result<()> {
    let failed = |e| fail("protect", path, e);
    let mode = path.metadata().map_err(failed)?.permissions().mode() & ROOT_MODE;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)
}

/// Gives a group read access to a directory, unless it already has it.
pub(super) fn open_to_group(path: &Path, group: u32) -> Result<()> {
    let failed = |e| {
        let help = format!("choose a group that this user is in, and not {group}");
        fail("open to a group", path, e).with_help(help)
    };
    let meta = path.metadata().map_err(failed)?;
    if meta.gid() != group {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(failed)?;
    }
    if meta.mode() & 0o777 != GROUP_MODE {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(GROUP_MODE)).map_err(failed)?;
    }
    Ok(())
}

/// Takes over unfinished blobs of format 1, where each had a directory with `data` and `journal` in it.
fn take_over_all(root: &Dir) -> Result<()> {
    let Some(ingests) = root.sub("ingest")? else { return Ok(()) };
    for entry in ingests.entries()? {
        let entry = entry?;
        if entry.is_dir {
            take_over(root, &ingests, &entry.name)?;
        }
    }
    Ok(())
}

/// Turns a blob's directory of format 1 into a file. `false`: the directory is in use by an older version.
pub(crate) fn take_over(root: &Dir, ingests: &Dir, name: &str) -> Result<bool> {
    let owned = match lock::try_own(ingests, name) {
        Err(_) if !ingests.has_dir(name)? => return Ok(true), // another process was faster
        outcome => outcome?,
    };
    let Some(_owned) = owned else { return Ok(false) };
    let scratch = Scratch::new(root)?;
    if !ingests.rename_dir(name, scratch.dir(), "ingest")? {
        ingests.remove_all(name)?; // its bytes are fetched again
        return Ok(true);
    }
    let Some(old) = scratch.dir().sub("ingest")? else { return Ok(true) };
    // The data stays locked until it has its journal.
    if let Some(_data) = lock::try_own_file(&old, "data")?
        && old.rename_new("data", ingests, name)?
    {
        old.take("journal", ingests, &journal_of(name))?;
    }
    Ok(true)
}
