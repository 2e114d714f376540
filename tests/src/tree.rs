//! A directory tree in memory, with its hard links: what a command began with, and what a power cut left.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// A file or directory of a [`Tree`], whatever its names are.
pub type Node = usize;

/// Where a tree begins.
pub const TOP: Node = 0;

/// A directory with all that is below it.
#[derive(Debug, Clone)]
pub struct Tree {
    top: PathBuf,
    inodes: Vec<Inode>,
}

#[derive(Debug, Clone)]
enum Inode {
    File(Vec<u8>),
    Dir(BTreeMap<String, Node>),
}

impl Tree {
    /// An empty directory of this path.
    pub fn empty(top: &Path) -> Self {
        Self { top: top.to_owned(), inodes: vec![Inode::Dir(BTreeMap::new())] }
    }

    /// What a directory holds.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn read(top: &Path) -> Self {
        let mut tree = Self::empty(top);
        tree.read_dir(TOP, top, &mut HashMap::new());
        tree
    }

    fn read_dir(&mut self, dir: Node, path: &Path, known: &mut HashMap<u64, Node>) {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let (path, inode) = (entry.path(), entry.metadata().unwrap().ino());
            let node = if entry.file_type().unwrap().is_dir() {
                let node = self.add_dir();
                self.read_dir(node, &path, known);
                node
            } else {
                *known.entry(inode).or_insert_with(|| {
                    let node = self.add_file();
                    *self.content_mut(node) = fs::read(&path).unwrap();
                    node
                })
            };
            self.set(dir, entry.file_name().to_str().unwrap(), node);
        }
    }

    /// Puts all of it into an empty directory.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, to: &Path) {
        let mut written: HashMap<Node, PathBuf> = HashMap::new();
        for (path, node) in self.walk(TOP) {
            let path = to.join(path);
            match (&self.inodes[node], written.get(&node)) {
                (Inode::File(_), Some(first)) => fs::hard_link(first, &path).unwrap(),
                (Inode::File(bytes), None) => fs::write(&path, bytes).unwrap(),
                (Inode::Dir(_), _) => fs::create_dir_all(&path).unwrap(),
            }
            written.insert(node, path);
        }
    }

    /// The directory that it was, or will be.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// A new file, which has no name yet.
    pub fn add_file(&mut self) -> Node {
        self.inodes.push(Inode::File(Vec::new()));
        self.inodes.len() - 1
    }

    /// A new directory, which has no name yet.
    pub fn add_dir(&mut self) -> Node {
        self.inodes.push(Inode::Dir(BTreeMap::new()));
        self.inodes.len() - 1
    }

    /// How many files and directories there are, with and without names.
    pub fn nodes(&self) -> usize {
        self.inodes.len()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self, node: Node) -> bool {
        matches!(self.inodes[node], Inode::Dir(_))
    }

    /// What is in a file.
    ///
    /// # Panics
    ///
    /// If it is a directory.
    pub fn content(&self, node: Node) -> &[u8] {
        match &self.inodes[node] {
            Inode::File(bytes) => bytes,
            Inode::Dir(_) => panic!("a directory has no content"),
        }
    }

    /// What is in a file, to change it.
    ///
    /// # Panics
    ///
    /// If it is a directory.
    pub fn content_mut(&mut self, node: Node) -> &mut Vec<u8> {
        match &mut self.inodes[node] {
            Inode::File(bytes) => bytes,
            Inode::Dir(_) => panic!("a directory has no content"),
        }
    }

    /// Gives this name to a node. A directory has one name only, so that it loses that which it had.
    pub fn set(&mut self, dir: Node, name: &str, node: Node) {
        if self.is_dir(node) {
            for inode in &mut self.inodes {
                if let Inode::Dir(names) = inode {
                    names.retain(|_, named| *named != node);
                }
            }
        }
        self.names_mut(dir).insert(name.to_owned(), node);
    }

    /// Takes this name away from a node, if it has it.
    pub fn unset(&mut self, dir: Node, name: &str, node: Node) {
        if self.names(dir).get(name) == Some(&node) {
            self.names_mut(dir).remove(name);
        }
    }

    /// What a path leads to, from a directory of this tree.
    pub fn find(&self, from: Node, path: impl AsRef<Path>) -> Option<Node> {
        path.as_ref().components().try_fold(from, |node, component| match component {
            Component::CurDir => Some(node),
            Component::Normal(name) if self.is_dir(node) => self.names(node).get(name.to_str()?).copied(),
            _ => None,
        })
    }

    /// All paths below a directory, each before those below it.
    pub fn walk(&self, from: Node) -> Vec<(PathBuf, Node)> {
        let mut found = Vec::new();
        let mut next = vec![(PathBuf::new(), from)];
        while let Some((path, node)) = next.pop() {
            if self.is_dir(node) {
                next.extend(self.names(node).iter().map(|(name, &node)| (path.join(name), node)));
            }
            found.push((path, node));
        }
        found
    }

    fn names(&self, dir: Node) -> &BTreeMap<String, Node> {
        match &self.inodes[dir] {
            Inode::Dir(names) => names,
            Inode::File(_) => panic!("a file has no names in it"),
        }
    }

    fn names_mut(&mut self, dir: Node) -> &mut BTreeMap<String, Node> {
        match &mut self.inodes[dir] {
            Inode::Dir(names) => names,
            Inode::File(_) => panic!("a file has no names in it"),
        }
    }
}
