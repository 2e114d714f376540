//! Removing an image from a directory: its entry first, in one step, then the blobs that only it had.

mod directory;
mod reachability;

use std::collections::BTreeSet;
use std::path::Path;

use hoist_core::{Descriptor, Document, Error, ErrorKind, Result, json_text};
use hoist_store::Layout;
use serde_json::Value;

pub(crate) use directory::Directory;
use reachability::Reachable;

/// Takes these entries out of the index, and deletes what they had and no other entry leads to.
///
/// All else stays, what nothing names included: another program may be about to name it. To fail at
/// deleting is logged only, since the images are gone by then.
pub(crate) fn remove(directory: &Directory, layout: &Layout, doomed: &[&Descriptor]) -> Result<()> {
    let mut index = parse(layout.path(), &directory.index()?)?;
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(malformed(layout.path()));
    };
    let is_doomed = |entry: &Value| {
        let alone = serde_json::json!({"manifests": [entry]}).to_string();
        let Ok(Document::Index(index)) = Document::parse(alone.as_bytes(), None) else { return false };
        index.manifests.iter().any(|entry| doomed.contains(&entry))
    };
    let (removed, kept): (Vec<_>, Vec<_>) = std::mem::take(entries).into_iter().partition(is_doomed);
    entries.clone_from(&kept);
    // What the removed ones lead to has to be known before they go: a crash must leave too much, not too little.
    let garbage = garbage(layout, &removed, &kept);
    directory.replace_index(&serde_json::to_vec(&index).expect("JSON that was read can be written"))?;
    for digest in garbage {
        if let Err(error) = directory.delete(&digest) {
            tracing::warn!(error = error.report(), "a blob that nothing names stays");
        }
    }
    Ok(())
}

/// The blobs that only the removed entries lead to. Where it cannot be told what the others lead to, none.
fn garbage(layout: &Layout, removed: &[Value], kept: &[Value]) -> BTreeSet<hoist_core::Digest> {
    let (removed, kept) = (Reachable::from(layout, removed), Reachable::from(layout, kept));
    if kept.has_gaps {
        return BTreeSet::new();
    }
    removed.blobs.difference(&kept.blobs).cloned().collect()
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Value> {
    serde_json::from_str(&json_text(bytes)).map_err(|cause| malformed(path).with_source(cause))
}

fn malformed(path: &Path) -> Error {
    Error::new(ErrorKind::Malformed, format!("{}: index.json is not an index", path.display()))
}
