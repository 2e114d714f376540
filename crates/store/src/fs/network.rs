//! File systems whose locks may not reach every process that uses the store: `flock(2)` on a directory is a matter
//! of one host there, and another host sees nothing of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hoist_core::{Error, ErrorKind, Result};
use rustix::fs::statfs;

/// The file systems that other hosts share, by their magic numbers
/// ([`statfs(2)`](https://man7.org/linux/man-pages/man2/statfs.2.html)).
const NETWORK: [(i64, &str); 17] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB (CIFS)"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x2003_0528, "OrangeFS"),
    (0x1983_0326, "BeeGFS"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
    (0x7c7c_6673, "prl_fs"),
    (0x0131_11a8, "IBRIX"),
];
/// FUSE and virtiofs have one number. It depends on the server behind them how far locks reach.
const FUSE: i64 = 0x6573_5546;

/// How far the locks of a file system reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locks {
    /// Every process that can use the files, as far as anybody knows.
    Everywhere,
    /// That depends on a server: FUSE or virtiofs.
    Unsure,
    /// This host only. The file system has this name.
    ThisHost(&'static str),
}

/// Fails with [`Unsupported`](ErrorKind::Unsupported) if this path is, or would be, on a network file system. Logs
/// one warning for each path that is on FUSE or virtiofs.
pub(crate) fn refuse_network(path: &Path) -> Result<()> {
    match locks_at(path) {
        Locks::Everywhere => {}
        Locks::Unsure => warn_once(path),
        Locks::ThisHost(name) => return Err(refused(path, name)),
    }
    Ok(())
}

/// How far the locks reach of the file system that this path is on. If the path does not exist, its nearest parent
/// decides.
pub(crate) fn locks_at(path: &Path) -> Locks {
    #[allow(clippy::useless_conversion, reason = "it is not of this type on every architecture")]
    let magic = |path: &Path| statfs(path).ok().map(|found| i64::from(found.f_type) & 0xffff_ffff);
    path.ancestors().find_map(magic).map_or(Locks::Everywhere, locks_of)
}

fn locks_of(magic: i64) -> Locks {
    match NETWORK.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => Locks::ThisHost(name),
        None if magic == FUSE => Locks::Unsure,
        None => Locks::Everywhere,
    }
}

fn refused(path: &Path, name: &str) -> Error {
    let path = path.display();
    let message = format!(
        "{path} is on a network file system ({name}), where locks do not reach other hosts, so two hosts could \
         change the store at once"
    );
    Error::new(ErrorKind::Unsupported, message).with_help(
        "keep the store on a local file system, such as ext4, xfs or btrfs; if only this host uses it, set \
         `allow-network-file-system`",
    )
}

fn warn_once(path: &Path) {
    static WARNED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
        tracing::warn!(
            "{} is on FUSE or virtiofs, where locks may not reach other hosts or virtual machines: let only this \
             machine use the store, or keep it on a local file system",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones_and_fuse_from_both() {
        let of = |magic| locks_of(magic);
        for magic in [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400] {
            assert!(matches!(of(magic), Locks::ThisHost(_)), "{magic:x}");
        }
        assert_eq!(of(FUSE), Locks::Unsure);
        for (local, name) in
            [(0xef53, "ext4"), (0x5846_5342, "xfs"), (0x0102_1994, "tmpfs"), (0x794c_7630, "overlay")]
        {
            assert_eq!(of(local), Locks::Everywhere, "{name}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_is_on_the_file_system_of_its_parent() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(locks_at(&dir.path().join("not/yet")), locks_at(dir.path()));
    }

    #[test]
    fn the_refusal_names_the_file_system_the_reason_and_the_option() {
        let report = refused(Path::new("/srv/store"), "NFS").report();
        for word in ["/srv/store", "NFS", "locks do not reach other hosts", "`allow-network-file-system`"] {
            assert!(report.contains(word), "no {word:?} in {report}");
        }
    }
}
