//! Sweeping: removing what dead processes left, which nobody will go on from.

use hoist_core::{Algorithm, Result};

use crate::dir::Dir;
use crate::lock;

/// Removes staging directories whose owner is dead, and what is left of ingests whose blob is in the pool:
/// their owner died after it had put it there.
pub(crate) fn sweep(root: &Dir) -> Result<()> {
    sweep_below(root, "staging", |_| Ok(true))?;
    // One that overtook another has a number behind its digest.
    sweep_below(root, "ingest", |name| is_pooled(root, name.split('+').next().unwrap_or_default()))
}

fn sweep_below(root: &Dir, path: &str, is_litter: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let Some(dir) = root.sub(path)? else { return Ok(()) };
    for entry in dir.entries()? {
        let entry = entry?;
        if entry.is_dir
            && is_litter(&entry.name)?
            && let Some(_owned) = lock::try_own(&dir, &entry.name)?
        {
            dir.remove_all(&entry.name)?;
        }
    }
    Ok(())
}

/// Whether the pool has a blob with this digest, of whatever algorithm.
fn is_pooled(root: &Dir, hex: &str) -> Result<bool> {
    for algorithm in Algorithm::ALL {
        if root.stat(format!("blobs/{}/{hex}", algorithm.as_str()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
