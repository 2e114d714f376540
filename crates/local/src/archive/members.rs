//! The members of an archive, by name: files, and the links among them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hoist_core::{Error, ErrorKind, Result};

use super::blocks::{Blocks, Stop};
use super::sparse::Content;
use super::walk::{Kind, Member, Trouble, walk};

const MAX_MEMBERS: usize = 100_000; // far more than any image has
const MAX_HOPS: usize = 40; // as many links as Linux follows

/// The documents of a layout. Two of one name could be read as two images by two programs.
const DOCUMENTS: [&str; 2] = ["index.json", "oci-layout"];

/// What an archive has. Its bytes stay in the file.
#[derive(Debug, Default)]
pub(super) struct Members {
    files: HashMap<String, Content>,
    /// The links, with the names that they lead to.
    links: HashMap<String, String>,
    /// The first reason for which the archive is to be refused.
    refusal: Option<String>,
    /// Whether the archive has a mark at its end. One that was cut off between two members has none.
    pub(super) is_ended: bool,
}

impl Members {
    /// Walks through an archive.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where it is none, or is damaged.
    pub(super) fn of(file: &File) -> Result<Self> {
        let failed = |cause| Error::from(Trouble { stop: Stop::Io(cause), offset: 0 });
        let blocks = Blocks::new(file).map_err(failed)?;
        let mut members = Self::default();
        members.is_ended = walk(&blocks, |member| members.add(file, member))?;
        Ok(members)
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The file of this name, where no link leads in a circle.
    pub(super) fn find(&self, name: &str) -> Option<&Content> {
        let mut name = name.to_owned();
        for _ in 0..MAX_HOPS {
            if let Some(content) = self.files.get(&name) {
                return Some(content);
            }
            name = self.hop(&name)?;
        }
        None
    }

    /// The name with its first link, which may be that of a directory, replaced by its target.
    fn hop(&self, name: &str) -> Option<String> {
        let ends = name.match_indices('/').map(|(end, _)| end).chain([name.len()]);
        ends.into_iter().find_map(|end| Some(format!("{}{}", self.links.get(&name[..end])?, &name[end..])))
    }

    /// All files, by name.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|(name, content)| (name.as_str(), content.size))
    }

    /// Fails where something in it could be meant for another reader than an image's.
    pub(super) fn check(&self) -> Result<()> {
        match &self.refusal {
            Some(why) => Err(Error::new(ErrorKind::Malformed, why).with_help("nothing of it was loaded")),
            None => Ok(()),
        }
    }

    fn add(&mut self, file: &File, member: Member) -> Result<()> {
        if self.files.len() + self.links.len() >= MAX_MEMBERS {
            let message = format!("it has more than {MAX_MEMBERS} files");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let Some(name) = plain(&member.path) else {
            self.refuse(format!("{:?} leads out of it", String::from_utf8_lossy(&member.path)));
            return Ok(());
        };
        match member.kind {
            Kind::Directory => {}
            Kind::File(content) => self.add_file(file, name, content)?,
            Kind::Symlink(target) => {
                let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                self.add_link(target_of(parent, &target), name);
            }
            Kind::HardLink(target) => self.add_link(plain(&target), name),
            Kind::Other => {
                self.refuse(format!("{name:?} in it is neither a file nor a directory nor a link"));
            }
        }
        Ok(())
    }

    /// Adds a file. The last one of its name counts, as for tar; but a document is there once, or twice the same.
    fn add_file(&mut self, file: &File, name: String, content: Content) -> Result<()> {
        if let Some(before) = self.files.get(&name)
            && DOCUMENTS.contains(&&*name)
            && !is_same(file, before, &content)?
        {
            self.refuse(format!("{name:?} is in it twice, with different content"));
        }
        self.links.remove(&name);
        self.files.insert(name, content);
        Ok(())
    }

    fn add_link(&mut self, target: Option<String>, name: String) {
        match target {
            Some(target) if target == name => {} // a file that was added to the archive twice
            Some(_) if DOCUMENTS.contains(&&*name) && self.files.contains_key(&name) => {
                self.refuse(format!("{name:?} is in it twice, as a file and as a link"));
            }
            Some(target) => {
                self.files.remove(&name);
                self.links.insert(name, target);
            }
            None => self.refuse(format!("{name:?} in it is a link that leads out of it")),
        }
    }

    fn refuse(&mut self, why: String) {
        self.refusal.get_or_insert(why);
    }
}

impl Content {
    /// Reads bytes from the middle of a member; the caller stays within its size.
    pub(super) fn read(&self, file: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).expect("a piece fits into memory")];
        let first = self.pieces.partition_point(|piece| piece.at + piece.length <= at);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.at < at + length) {
            let (from, to) = (piece.at.max(at), (piece.at + piece.length).min(at + length));
            let within = |offset: u64| usize::try_from(offset - at).expect("it is within the bytes");
            file.read_exact_at(&mut bytes[within(from)..within(to)], piece.start + (from - piece.at))?;
        }
        Ok(bytes)
    }
}

fn is_same(file: &File, one: &Content, other: &Content) -> Result<bool> {
    let read = |content: &Content| {
        content
            .read(file, 0, content.size)
            .map_err(|cause| Error::from(Trouble { stop: Stop::Io(cause), offset: 0 }))
    };
    let is_small = one.size <= hoist_core::MAX_DOCUMENT;
    Ok(one.size == other.size && is_small && read(one)? == read(other)?)
}

/// A name in one spelling, relative to the archive. `None`: it leads elsewhere.
fn plain(path: &[u8]) -> Option<String> {
    if path.starts_with(b"/") {
        return None;
    }
    // A name that is not UTF-8 is none of a layout's.
    let path = String::from_utf8_lossy(path);
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// The name that a symlink in this directory leads to.
fn target_of(parent: &str, target: &[u8]) -> Option<String> {
    let target = str::from_utf8(target).ok().filter(|target| !target.starts_with('/'))?;
    let mut parts: Vec<_> = parent.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let Trouble { stop, offset } = trouble;
        match stop {
            Stop::CutOff if offset > 0 => Self::new(ErrorKind::Malformed, "it is cut off")
                .with_help("copy or download it again, as a whole"),
            Stop::Damaged if offset > 0 => {
                Self::new(ErrorKind::Malformed, format!("it is damaged at byte {offset}"))
                    .with_help("copy or download it again, or write it anew")
            }
            Stop::CutOff | Stop::Damaged => {
                Self::new(ErrorKind::Malformed, "it is no tar archive, or a damaged one")
            }
            Stop::Io(cause) => unreadable(cause),
        }
    }
}

/// The error for an archive whose disk fails. Its end may also have been cut off since it was opened.
pub(super) fn unreadable(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => Trouble { stop: Stop::CutOff, offset: 1 }.into(),
        _ => Error::new(ErrorKind::Storage, "its disk cannot be read").with_source(cause),
    }
}
