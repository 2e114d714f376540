//! Tells `mkext4` of all files.

use std::collections::HashMap;
use std::io;

use hoist_core::Result;
use mkext4::{FsBuilder, InodeHandle, Meta, SpecialKind};

use super::{acl, unsupported};
use crate::tree::{Content, Inode, InodeId, Inodes, Kind, ROOT, RootTree};

/// A directory that `mkext4` makes itself.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// The last second that ext4 can express, in 2446, and the first one.
const TIMES: std::ops::RangeInclusive<i64> = -(1 << 31)..=(1 << 34) - (1 << 31) - 1;

/// The files whose data is to be written, in their order.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) files: Vec<(InodeHandle, Content)>,
}

struct Declaring<'a> {
    tree: &'a RootTree,
    builder: &'a mut FsBuilder,
    declared: Declared,
    /// Those that may have more than one name.
    known: HashMap<InodeId, InodeHandle>,
    open: Vec<(InodeId, InodeHandle)>,
}

/// Declares all files, directories first.
pub(crate) fn declare(tree: &RootTree, builder: &mut FsBuilder) -> Result<Declared> {
    let known = HashMap::new();
    let mut declaring =
        Declaring { tree, builder, declared: Declared::default(), known, open: vec![(ROOT, mkext4::ROOT)] };
    let meta = meta(tree.inode(ROOT), "/")?;
    declaring.builder.set_meta(mkext4::ROOT, meta).map_err(|cause| unsupported("/", cause))?;
    declaring.xattrs(ROOT, mkext4::ROOT, "/")?;
    while let Some((id, handle)) = declaring.open.pop() {
        let children = tree.dir(id).into_iter().flat_map(|directory| &directory.children);
        for (name, child) in children {
            if let Some(child) = child.inode {
                declaring.child(id, handle, name, child)?;
            }
        }
    }
    Ok(declaring.declared)
}

impl Declaring<'_> {
    fn child(&mut self, parent: InodeId, handle: InodeHandle, name: &[u8], id: InodeId) -> Result<()> {
        if parent == ROOT
            && name == LOST_AND_FOUND
            && self.tree.dir(id).is_some_and(|it| it.children.is_empty())
        {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(name).into_owned();
        let name = text(name, &shown)?;
        if let Some(&known) = self.known.get(&id) {
            return self.builder.hardlink(handle, name, known).map_err(|cause| unsupported(&shown, cause));
        }
        let made = self.declare(handle, name, id, &shown)?;
        self.xattrs(id, made, &shown)
    }

    fn declare(&mut self, at: InodeHandle, name: &str, id: InodeId, shown: &str) -> Result<InodeHandle> {
        let inode = self.tree.inode(id);
        let meta = meta(inode, shown)?;
        let builder = &mut *self.builder;
        let made = match &inode.kind {
            Kind::Directory(_) => builder.mkdir(at, name, meta),
            Kind::File(content) => builder.file(at, name, meta, content.size),
            Kind::Symlink(target) => builder.symlink(at, name, text(target, shown)?, meta),
            &Kind::CharDevice(major, minor) => {
                builder.mknod(at, name, meta, SpecialKind::Char { major, minor })
            }
            &Kind::BlockDevice(major, minor) => {
                builder.mknod(at, name, meta, SpecialKind::Block { major, minor })
            }
            Kind::Fifo | Kind::LinkBelow(_) => builder.mknod(at, name, meta, SpecialKind::Fifo),
        };
        let made = made.map_err(|cause| unsupported(shown, cause))?;
        match &inode.kind {
            Kind::Directory(_) => self.open.push((id, made)),
            Kind::File(content) if content.size > 0 => self.declared.files.push((made, *content)),
            _ => {}
        }
        if self.tree.dir(id).is_none() {
            self.known.insert(id, made);
        }
        Ok(made)
    }

    fn xattrs(&mut self, id: InodeId, handle: InodeHandle, shown: &str) -> Result<()> {
        for (name, value) in self.tree.inode(id).meta.xattrs() {
            let name = text(name, shown)?;
            let list = name.starts_with("system.posix_acl_").then(|| acl::to_ext4(value));
            let invalid = || unsupported(shown, io::Error::other("its access control list is not one"));
            let value = list.map_or(Ok(value.to_vec()), |list| list.ok_or_else(invalid))?;
            self.builder.set_xattr(handle, name, &value).map_err(|cause| unsupported(shown, cause))?;
        }
        Ok(())
    }
}

fn meta(inode: &Inode, shown: &str) -> Result<Meta> {
    let meta = &inode.meta;
    if !TIMES.contains(&meta.mtime.secs) {
        return Err(unsupported(shown, io::Error::other("its time is before 1901 or after 2446")));
    }
    Ok(Meta::new(meta.mode, meta.uid, meta.gid, (meta.mtime.secs, meta.mtime.nanos)))
}

fn text<'a>(bytes: &'a [u8], shown: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|cause| unsupported(shown, cause))
}
