//! Follows a command's calls through a tree: what each path and descriptor meant when it was used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::call::{Argument, Call};
use crate::history::{Change, Name, Sync, What};
use crate::tree::{Node, TOP, Tree};

/// A tree while calls change it.
///
/// What a call changes is taken to be seen by others from its entry on, since another thread may have seen it
/// before the trace has its return.
pub(crate) struct Recorder {
    pub(crate) now: Tree,
    descriptors: HashMap<u64, usize>,
    /// Open files; descriptors that are copies of each other share one.
    opened: Vec<Opened>,
    pub(crate) changes: Vec<Change>,
    pub(crate) syncs: Vec<Sync>,
}

struct Opened {
    node: Node,
    position: usize,
}

impl Recorder {
    pub(crate) fn new(now: Tree) -> Self {
        Self { now, descriptors: HashMap::new(), opened: Vec::new(), changes: Vec::new(), syncs: Vec::new() }
    }

    /// A call is made.
    pub(crate) fn enter(&mut self, call: &Call) {
        if call.name == "close" {
            self.descriptors.remove(&call.argument(0).number().expect("a descriptor"));
        }
        let Some(result) = call.result else { return };
        let result = usize::try_from(result).expect("64 bits");
        match &call.name[..] {
            "open" | "openat" | "openat2" | "creat" => self.make_file(call),
            "read" => self.advance(call, result),
            "lseek" => self.seek(call, result),
            "write" | "writev" | "pwrite64" | "pwritev" => self.write(call, result),
            "ftruncate" => self.resize(call),
            "fsync" | "fdatasync" => self.sync(call),
            "syncfs" | "sync" => self.syncs.push(Sync { span: call.span, node: None }),
            "mkdir" | "mkdirat" => self.make_dir(call),
            "rename" | "renameat" | "renameat2" => self.rename(call),
            "link" | "linkat" => self.link(call),
            "unlink" | "unlinkat" | "rmdir" => self.unlink(call),
            "close" | "dup" | "dup2" | "dup3" | "fcntl" | "sync_file_range" => {}
            "mmap" if !call.argument(3).has("MAP_SHARED") || !call.argument(2).has("PROT_WRITE") => {}
            name => assert!(!self.concerns(call), "what {name} does is not known: {call:?}"),
        }
    }

    /// A call is answered.
    pub(crate) fn leave(&mut self, call: &Call) {
        let Some(result) = call.result else { return };
        match &call.name[..] {
            "open" | "openat" | "openat2" | "creat" => {
                let Some((from, path)) = self.path(call, 0) else { return };
                let node = self.now.find(from, path);
                let node = node.unwrap_or_else(|| panic!("opened, but was never made: {call:?}"));
                self.opened.push(Opened { node, position: 0 });
                self.descriptors.insert(result, self.opened.len() - 1);
            }
            "dup" | "dup2" | "dup3" => self.copy_descriptor(call, result),
            "fcntl" if call.argument(1).has("F_DUPFD") || call.argument(1).has("F_DUPFD_CLOEXEC") => {
                self.copy_descriptor(call, result);
            }
            _ => {}
        }
    }

    fn copy_descriptor(&mut self, call: &Call, copy: u64) {
        if let Some(&opened) = call.argument(0).number().and_then(|fd| self.descriptors.get(&fd)) {
            self.descriptors.insert(copy, opened);
        }
    }

    fn make_file(&mut self, call: &Call) {
        let Some((from, path)) = self.path(call, 0) else { return };
        let flags = |constant| call.arguments.iter().any(|argument| argument.has(constant));
        assert!(!flags("O_APPEND") && !flags("O_TMPFILE"), "what these flags do is not known: {call:?}");
        if flags("O_CREAT") && self.now.find(from, &path).is_none() {
            let name = self.name(from, &path, Tree::add_file);
            self.named(call, vec![name], vec![], false);
        }
        if flags("O_TRUNC") {
            let file = self.now.find(from, &path).expect("what is truncated is there");
            self.change(call, What::Resized { file, length: 0 });
        }
    }

    fn advance(&mut self, call: &Call, count: usize) {
        if let Some(opened) = self.opened_mut(call.argument(0)) {
            opened.position += count;
        }
    }

    fn seek(&mut self, call: &Call, to: usize) {
        if let Some(opened) = self.opened_mut(call.argument(0)) {
            opened.position = to;
        }
    }

    fn write(&mut self, call: &Call, count: usize) {
        let Some(&mut Opened { node: file, position }) = self.opened_mut(call.argument(0)) else { return };
        let offset = if call.name.starts_with('p') {
            let offset = call.arguments.last().and_then(Argument::number).expect("an offset");
            usize::try_from(offset).expect("64 bits")
        } else {
            self.advance(call, count);
            position
        };
        let mut bytes = call.argument(1).bytes();
        bytes.truncate(count);
        self.change(call, What::Written { file, offset, bytes });
    }

    fn resize(&mut self, call: &Call) {
        let Some(&mut Opened { node: file, .. }) = self.opened_mut(call.argument(0)) else { return };
        let length = usize::try_from(call.argument(1).number().expect("a length")).expect("64 bits");
        self.change(call, What::Resized { file, length });
    }

    fn sync(&mut self, call: &Call) {
        let Some(&mut Opened { node, .. }) = self.opened_mut(call.argument(0)) else { return };
        self.syncs.push(Sync { span: call.span, node: Some(node) });
    }

    fn make_dir(&mut self, call: &Call) {
        let Some((from, path)) = self.path(call, 0) else { return };
        let name = self.name(from, &path, Tree::add_dir);
        self.named(call, vec![name], vec![], false);
    }

    fn rename(&mut self, call: &Call) {
        let (from, to) = (self.path(call, 0), self.path(call, if call.name == "rename" { 1 } else { 2 }));
        let (Some((from, old)), Some((to, new))) = (from, to) else { return };
        let old = self.existing(call, from, &old);
        let node = old.node;
        if call.arguments.iter().any(|argument| argument.has("RENAME_EXCHANGE")) {
            let other = self.existing(call, to, &new);
            let given = vec![Name { node: other.node, ..old.clone() }, Name { node, ..other.clone() }];
            return self.named(call, given, vec![old, other], true);
        }
        let new = self.name(to, &new, |_| node);
        self.named(call, vec![new], vec![old], true);
    }

    fn link(&mut self, call: &Call) {
        let (from, to) = (self.path(call, 0), self.path(call, if call.name == "link" { 1 } else { 2 }));
        let (Some((from, old)), Some((to, new))) = (from, to) else { return };
        let node = self.existing(call, from, &old).node;
        let new = self.name(to, &new, |_| node);
        self.named(call, vec![new], vec![], true);
    }

    fn unlink(&mut self, call: &Call) {
        let Some((from, path)) = self.path(call, 0) else { return };
        let name = self.existing(call, from, &path);
        self.named(call, vec![], vec![name], false);
    }

    fn named(&mut self, call: &Call, given: Vec<Name>, taken: Vec<Name>, is_placement: bool) {
        self.change(call, What::Named { given, taken, is_placement });
    }

    fn change(&mut self, call: &Call, what: What) {
        what.apply(&mut self.now);
        self.changes.push(Change { span: call.span, what });
    }

    fn existing(&self, call: &Call, from: Node, path: &Path) -> Name {
        let node = self.now.find(from, path);
        let node = node.unwrap_or_else(|| panic!("it is gone, or was never made: {call:?}"));
        self.name_of(from, path, node)
    }

    fn name(&mut self, from: Node, path: &Path, node: impl FnOnce(&mut Tree) -> Node) -> Name {
        let node = node(&mut self.now);
        self.name_of(from, path, node)
    }

    fn name_of(&self, from: Node, path: &Path, node: Node) -> Name {
        let dir = path.parent().and_then(|parent| self.now.find(from, parent));
        let dir = dir.unwrap_or_else(|| panic!("no directory has the name {}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        Name { dir, name: name.to_owned(), node }
    }

    /// The path that begins with this argument, and where it leads from. `None`: that is not in the tree.
    fn path(&self, call: &Call, place: usize) -> Option<(Node, PathBuf)> {
        if !call.name.contains("at") || call.name == "creat" {
            return Some((TOP, self.below_top(&call.argument(place).path())?));
        }
        let (dir, path) = (call.argument(place), call.argument(place + 1).path());
        match dir.number().and_then(|fd| self.descriptors.get(&fd)) {
            Some(&opened) => Some((self.opened[opened].node, path)),
            None => Some((TOP, self.below_top(&path)?)),
        }
    }

    fn below_top(&self, path: &Path) -> Option<PathBuf> {
        Some(path.strip_prefix(self.now.top()).ok()?.to_owned())
    }

    fn opened_mut(&mut self, descriptor: &Argument) -> Option<&mut Opened> {
        self.opened.get_mut(*self.descriptors.get(&descriptor.number()?)?)
    }

    /// Whether a call has to do with the tree at all.
    fn concerns(&self, call: &Call) -> bool {
        let is_open = |a: &Argument| a.number().is_some_and(|fd| self.descriptors.contains_key(&fd));
        let is_below = |a: &Argument| a.is_string() && a.path().starts_with(self.now.top());
        call.arguments.iter().any(|argument| is_open(argument) || is_below(argument))
    }
}
