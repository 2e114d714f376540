//! Sweeping: removes the leftovers of dead processes that no other process will continue from.

use hoist_core::{Algorithm, Result};

use super::format::take_over;
use crate::fs::dir::{Dir, DirEntry};
use crate::fs::lock;
use crate::paths::{data_of, hex_of, journal_of};

/// Removes staging directories whose owner is dead, and the rest of ingests whose blob is in the pool, because
/// their owner died after it had put the blob there.
pub(crate) fn sweep(root: &Dir) -> Result<()> {
    if let Some(staging) = root.sub("staging")? {
        for entry in staging.entries()? {
            let entry = entry?;
            if entry.is_dir {
                remove_unowned(&staging, &entry.name)?;
            }
        }
    }
    if let Some(ingests) = root.sub("ingest")? {
        for entry in ingests.entries()? {
            sweep_ingest(root, &ingests, &entry?)?;
        }
    }
    Ok(())
}

fn remove_unowned(dir: &Dir, name: &str) -> Result<()> {
    match lock::try_own(dir, name)? {
        Some(_owned) => dir.remove_all(name),
        None => Ok(()),
    }
}

fn sweep_ingest(root: &Dir, ingests: &Dir, entry: &DirEntry) -> Result<()> {
    let name = &*entry.name;
    if entry.is_dir {
        // A process of an older version left it after the store was taken over.
        return take_over(root, ingests, name).map(drop);
    }
    if !entry.is_file {
        return Ok(());
    }
    if let Some(data) = data_of(name) {
        if ingests.stat(data)?.is_none() {
            ingests.unlink(name)?;
        }
    } else if is_pooled(root, hex_of(name))?
        && let Some(_owned) = lock::try_own_file(ingests, name)?
    {
        ingests.unlink(journal_of(name))?;
        ingests.unlink(name)?;
    }
    Ok(())
}

/// Whether the pool has a blob with this digest, in any algorithm.
fn is_pooled(root: &Dir, hex: &str) -> Result<bool> {
    for &algorithm in Algorithm::ALL {
        if root.stat(format!("blobs/{}/{hex}", algorithm.as_str()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
