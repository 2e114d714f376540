//! Owners, permissions, extended attributes and times.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, lsetxattr, statat, utimensat,
};

use crate::tree::{Inode, Kind, Meta};

/// Access control lists change the permissions, and so come after them.
const ACL: &[u8] = b"system.posix_acl_";

/// Gives a new file in this directory what its inode says.
pub(super) fn apply(directory: BorrowedFd<'_>, name: &[u8], inode: &Inode) -> io::Result<()> {
    let meta = &inode.meta;
    own(directory, name, meta)?;
    // A file's owner may set attributes only while the file is writable. A change of the owner removes capabilities.
    set_xattrs(directory, name, meta, |it| !it.starts_with(ACL))?;
    if !matches!(inode.kind, Kind::Symlink(_)) {
        chmodat(directory, name, Mode::from_raw_mode(meta.mode.into()), AtFlags::empty())?;
    }
    set_xattrs(directory, name, meta, |it| it.starts_with(ACL))?;
    let time = Timespec { tv_sec: meta.mtime.secs, tv_nsec: meta.mtime.nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Changes the owner, unless it is the right one: that is forbidden to all but root.
fn own(directory: BorrowedFd<'_>, name: &[u8], meta: &Meta) -> io::Result<()> {
    let there = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (there.st_uid, there.st_gid) == (meta.uid, meta.gid) {
        return Ok(());
    }
    let (user, group) = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
    Ok(chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets those attributes whose name is wanted. By a path: what is no file or directory cannot be opened for that.
fn set_xattrs(
    directory: BorrowedFd<'_>,
    name: &[u8],
    meta: &Meta,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let xattrs = meta.xattrs().iter().filter(|(xattr, _)| wanted(xattr));
    for (xattr, value) in xattrs {
        let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat();
        lsetxattr(&*path, &**xattr, value, XattrFlags::empty())?;
    }
    Ok(())
}
