//! What a command's calls did to a directory, and which of it was synced when.

use std::collections::HashMap;

use crate::call::{Call, Span};
use crate::recorder::Recorder;
use crate::tree::{Node, Tree};

/// The calls that a [`History`] is made from, as [`Strace::of`](crate::Strace::of) takes them. Those that are
/// only refused are here as well: no change may be missed.
pub const CALLS: &str = "open,openat,openat2,creat,close,dup,dup2,dup3,fcntl,read,lseek,write,writev,pwrite64,\
    pwritev,pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,ioctl,mmap,io_uring_setup,fsync,\
    fdatasync,syncfs,sync,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,\
    mknodat,unlink,unlinkat,rmdir";

/// Everything that happened to a directory tree, in order.
#[derive(Debug)]
pub struct History {
    before: Tree,
    changes: Vec<Change>,
    syncs: Vec<Sync>,
    end: usize,
}

/// A change of a file or of names, done at once as programs see it.
#[derive(Debug)]
pub struct Change {
    /// When.
    pub span: Span,
    /// What.
    pub what: What,
}

/// What a change was.
#[derive(Debug)]
pub enum What {
    /// Bytes were written to a file.
    Written {
        /// The file.
        file: Node,
        /// Where in it.
        offset: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file was made this long.
    Resized {
        /// The file.
        file: Node,
        /// Its new length, in bytes.
        length: usize,
    },
    /// Names were given and taken, in one step.
    Named {
        /// The names that lead to something from now on.
        given: Vec<Name>,
        /// The names that do not any more.
        taken: Vec<Name>,
        /// Whether something that was there already was put into place by it: a rename or a link.
        is_placement: bool,
    },
}

/// A name in a directory, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The directory.
    pub dir: Node,
    /// The name.
    pub name: String,
    /// What it leads to.
    pub node: Node,
}

/// A sync.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) span: Span,
    /// `None`: all there is.
    pub(crate) node: Option<Node>,
}

impl History {
    /// What these calls did to this tree.
    ///
    /// # Panics
    ///
    /// If one of them changed it in a way that is not known here.
    pub fn of(before: Tree, calls: &[Call]) -> Self {
        let mut recorder = Recorder::new(before.clone());
        let mut moments: Vec<_> =
            calls.iter().flat_map(|c| [(c.span.entered, c), (c.span.returned, c)]).collect();
        moments.sort_by_key(|(line, _)| *line);
        let mut last: HashMap<u32, usize> = HashMap::new();
        for (_, call) in moments {
            // A call on one line is there twice; either time is the right one.
            match last.insert(call.thread, call.span.entered) {
                Some(entered) if entered == call.span.entered => recorder.leave(call),
                _ => recorder.enter(call),
            }
        }
        let end = calls.iter().map(|call| call.span.entered).max().unwrap_or_default() + 1;
        let Recorder { now, changes, syncs, .. } = recorder;
        Self { before: with_nodes_of(before, &now), changes, syncs, end }
    }

    /// All changes, in the order in which they began.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The moment after the last call.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The tree before the first call. All nodes that came later are in it too, without names.
    pub fn before(&self) -> &Tree {
        &self.before
    }

    /// The tree as programs see it at this moment.
    pub fn tree_at(&self, moment: usize) -> Tree {
        let mut tree = self.before.clone();
        for change in self.changes.iter().filter(|change| change.span.entered < moment) {
            change.what.apply(&mut tree);
        }
        tree
    }

    /// Whether a change is on the disk for good at this moment: synced after it was done, and the sync done.
    pub fn is_durable(&self, change: &Change, moment: usize) -> bool {
        let covers = |sync: &Sync| {
            sync.span.entered > change.span.returned
                && sync.span.returned < moment
                && sync.node.is_none_or(|node| change.what.touches(node))
        };
        self.syncs.iter().any(covers)
    }

    /// Whether something is synced at this moment: a file's bytes, or a directory's names.
    pub fn is_synced(&self, node: Node, moment: usize) -> bool {
        let before = |change: &&Change| change.span.entered < moment && change.what.touches(node);
        self.changes.iter().filter(before).all(|change| self.is_durable(change, moment))
    }
}

impl What {
    /// Does it.
    pub fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Written { file, offset, bytes } => {
                let content = tree.content_mut(*file);
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Self::Resized { file, length } => tree.content_mut(*file).resize(*length, 0),
            Self::Named { given, taken, .. } => {
                for Name { dir, name, node } in taken {
                    tree.unset(*dir, name, *node);
                }
                for Name { dir, name, node } in given {
                    tree.set(*dir, name, *node);
                }
            }
        }
    }

    /// Whether a sync of this file or directory makes it durable. A name that moves is so where it came to.
    pub fn touches(&self, node: Node) -> bool {
        match self {
            Self::Written { file, .. } | Self::Resized { file, .. } => *file == node,
            Self::Named { given, taken, .. } if given.is_empty() => taken.iter().any(|name| name.dir == node),
            Self::Named { given, .. } => given.iter().any(|name| name.dir == node),
        }
    }
}

/// The tree, with as many nodes as the later one has, of the same kinds.
fn with_nodes_of(mut tree: Tree, later: &Tree) -> Tree {
    for node in tree.nodes()..later.nodes() {
        if later.is_dir(node) {
            tree.add_dir()
        } else {
            tree.add_file()
        };
    }
    tree
}
