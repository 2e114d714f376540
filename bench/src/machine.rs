//! What the numbers were measured on.

use std::path::Path;

use crate::failure::{Doing, Result};
use crate::peers::{Peer, Tools};

/// A list in Markdown: the machine, the file system of `dir`, and the versions of all that are measured.
pub(crate) fn describe(dir: &Path, peers: &[Peer], tools: &Tools) -> Result<String> {
    let cores = std::thread::available_parallelism().doing("counting cores")?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let mut versions: Vec<String> = peers.iter().filter_map(|peer| peer.version(tools)).collect();
    versions.dedup();
    Ok(format!(
        "- machine: {model}, {cores} cores, {:.0} GiB of memory; its load was {load} before\n- system: Linux {}, {} for the destinations\n\
         - measured: {}; the registry is Debian's docker-registry, on the same machine",
        kibibytes as f64 / f64::from(1 << 20),
        kernel.trim(),
        file_system(dir),
        versions.join(", "),
    ))
}

/// The value of the first line `name: value` of a file.
fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// The type of the file system that a directory is on: that of the longest mount point above it, see proc(5).
fn file_system(dir: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        Some((before.split(' ').nth(4)?, after.split(' ').next()?))
    });
    let above = mounts.filter(|(point, _)| dir.starts_with(point));
    // Of two mounts at one point, the later one is seen.
    above.max_by_key(|(point, _)| point.len()).map_or("an unknown file system", |(_, name)| name).to_owned()
}
