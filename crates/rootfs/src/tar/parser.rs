//! The parser: a state machine that takes bytes in pieces of any size.

use hoist_core::{Error, ErrorKind, Result};

use super::header::{BLOCK, Header, MAX_OCTAL, sparse_block};
use super::pax::{Pax, PaxSparse, check_global};
use super::sparse::{MapReader, SparseMap, Step, check_parts, pairs};
use super::{Entry, EntryKind, Time, malformed};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// An entry begins. If it is a file, its data follows.
    Entry(Box<Entry>),
    /// The next bytes of the file.
    Data(&'a [u8]),
    /// The next bytes of the file are so many zeros.
    Hole(u64),
    /// The file is complete.
    End,
}

/// Reads an archive that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    /// The block that is being collected.
    block: Vec<u8>,
    /// What the extensions before the next entry say.
    pending: Pending,
    max_metadata: u64,
}

#[derive(Debug)]
enum State {
    Header,
    /// The body of an extension: its kind, and the bytes that are missing, without padding.
    Extension(u8, u64),
    /// The further blocks of an old GNU sparse map.
    SparseBlocks(Box<Entry>, Vec<(u64, u64)>, u64),
    /// The map that begins the data of a PAX 1.0 sparse file, and the size of what is left of the data.
    SparseMap(Box<Entry>, MapReader, u64),
    /// The steps of a file's data, and the bytes left of the current one.
    Data(SparseMap, u64),
    /// So many bytes of padding, and the file's end to be told if there is one.
    Padding(u64, bool),
    /// One block of zeros was read.
    FirstZero,
    /// The archive has ended. Nothing that follows belongs to it.
    Ended,
    /// There was an error.
    Broken,
}

#[derive(Debug, Default)]
struct Pending {
    pax: Option<Pax>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    body: Vec<u8>,
    metadata: u64,
    data: u64,
}

impl Parser {
    /// A parser for one archive. The extensions of one entry take at most `max_metadata` bytes.
    pub(crate) fn new(max_metadata: u64) -> Self {
        Self { state: State::Header, block: Vec::new(), pending: Pending::default(), max_metadata }
    }

    /// Takes bytes from the front of `input`, until something was read. `None`: all of it was taken.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Data(map, left) => {
                    if let Some(event) = self.data(map, left, input) {
                        return Ok(Some(event));
                    }
                }
                State::Padding(left, is_file) => {
                    let taken = take(input, left).len() as u64;
                    self.state =
                        if taken < left { State::Padding(left - taken, is_file) } else { State::Header };
                    if taken == left && is_file {
                        return Ok(Some(Event::End));
                    }
                }
                State::Extension(kind, left) => self.extension(kind, left, input)?,
                State::Broken => return Err(malformed("a tar archive is read on after an error")),
                State::Ended => {
                    *input = &[];
                    self.state = State::Ended;
                }
                state => {
                    let Some(block) = self.whole_block(input) else {
                        self.state = state;
                        return Ok(None);
                    };
                    if let Some(entry) = self.block(state, &block)? {
                        return Ok(Some(Event::Entry(entry)));
                    }
                    continue;
                }
            }
            if input.is_empty() && !self.is_file_over() {
                return Ok(None);
            }
        }
    }

    /// Checks that the archive may end here.
    pub(crate) fn finish(&self) -> Result<()> {
        let is_clean = match self.state {
            State::Header => self.block.is_empty() && self.pending.is_empty(),
            State::FirstZero => self.block.is_empty(),
            State::Ended => true,
            _ => false,
        };
        if is_clean { Ok(()) } else { Err(malformed("a tar archive ends within an entry")) }
    }

    /// Whether there is something to tell that needs no more input.
    fn is_file_over(&self) -> bool {
        matches!(self.state, State::Data(_, 0) | State::Padding(0, _))
    }

    /// The next block, once all of it is there.
    fn whole_block(&mut self, input: &mut &[u8]) -> Option<[u8; BLOCK]> {
        let missing = (BLOCK - self.block.len()) as u64;
        self.block.extend_from_slice(take(input, missing));
        let block = self.block.as_slice().try_into().ok()?;
        self.block.clear();
        Some(block)
    }

    fn block(&mut self, state: State, block: &[u8; BLOCK]) -> Result<Option<Box<Entry>>> {
        match state {
            State::SparseBlocks(entry, mut parts, real_size) => {
                let (more, goes_on) = sparse_block(block)?;
                parts.extend(more);
                check_parts(parts.len())?;
                if goes_on {
                    self.state = State::SparseBlocks(entry, parts, real_size);
                    return Ok(None);
                }
                Ok(Some(self.begin(entry, SparseMap::new(parts, real_size, self.pending.data)?)))
            }
            State::SparseMap(entry, map, left) => self.sparse_map(entry, map, left, block),
            State::FirstZero if is_zero(block) => {
                self.state = State::Ended;
                Ok(None)
            }
            State::FirstZero => Err(malformed("a tar archive goes on after a block of zeros")),
            _ if is_zero(block) && !self.pending.is_empty() => {
                Err(malformed("a tar archive ends after an entry's extensions"))
            }
            _ if is_zero(block) => {
                self.state = State::FirstZero;
                Ok(None)
            }
            _ => self.header(&Header::parse(block)?),
        }
    }

    fn header(&mut self, header: &Header) -> Result<Option<Box<Entry>>> {
        let kind = header.kind();
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            let size = header.size()?;
            self.pending.metadata = self.pending.metadata.saturating_add(size);
            if self.pending.metadata > self.max_metadata {
                let message = format!("an entry's metadata is larger than {} bytes", self.max_metadata);
                let help = "raise the limit `max_metadata` of the root file system's options";
                return Err(Error::new(ErrorKind::TooLarge, message).with_help(help));
            }
            self.pending.data = size;
            self.state = State::Extension(kind, size);
            return Ok(None);
        }
        let pending = std::mem::take(&mut self.pending);
        let pax = pending.pax.unwrap_or_default();
        self.pending.data = data_size(header, pax.size)?;
        let names = (pending.path, pending.link);
        let (entry, sparse) = entry(header, pax, names, self.pending.data)?;
        match (header.kind(), sparse.is_sparse && entry.kind == EntryKind::File) {
            (b'S', true) => Err(malformed("a sparse file has two maps")),
            (b'S', false) => self.gnu_sparse(entry, header),
            (_, true) => self.pax_sparse(entry, sparse),
            (_, false) => {
                let map = SparseMap::dense(entry.size);
                Ok(Some(self.begin(entry, map)))
            }
        }
    }

    /// Collects the body of an extension.
    fn extension(&mut self, kind: u8, left: u64, input: &mut &[u8]) -> Result<()> {
        let taken = take(input, left);
        self.pending.body.extend_from_slice(taken);
        let left = left - taken.len() as u64;
        if left > 0 {
            self.state = State::Extension(kind, left);
            return Ok(());
        }
        self.state = State::Padding(padding(self.pending.data), false);
        let body = std::mem::take(&mut self.pending.body);
        self.pending.take(kind, &body)
    }

    fn pax_sparse(&mut self, mut entry: Box<Entry>, sparse: PaxSparse) -> Result<Option<Box<Entry>>> {
        entry.path = sparse.name.unwrap_or(entry.path);
        let real_size = sparse.real_size.ok_or_else(|| malformed("a sparse file has no size"))?;
        match sparse.version {
            (0, 0 | 1) => {
                let map = SparseMap::new(pairs(&sparse.map)?, real_size, entry.size)?;
                Ok(Some(self.begin(entry, map)))
            }
            (1, 0) => {
                let data = std::mem::replace(&mut entry.size, real_size);
                self.state = State::SparseMap(entry, MapReader::default(), data);
                Ok(None)
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "a sparse file's version is unknown")),
        }
    }

    fn gnu_sparse(&mut self, entry: Box<Entry>, header: &Header) -> Result<Option<Box<Entry>>> {
        let ((parts, goes_on), real_size) = (header.sparse()?, header.real_size()?);
        if goes_on {
            self.state = State::SparseBlocks(entry, parts, real_size);
            return Ok(None);
        }
        let map = SparseMap::new(parts, real_size, entry.size)?;
        Ok(Some(self.begin(entry, map)))
    }

    fn sparse_map(
        &mut self,
        entry: Box<Entry>,
        mut map: MapReader,
        left: u64,
        block: &[u8],
    ) -> Result<Option<Box<Entry>>> {
        let left = left.checked_sub(BLOCK as u64);
        let left = left.ok_or_else(|| malformed("the map of a sparse file is longer than its entry"))?;
        let Some(parts) = map.push(block)? else {
            self.state = State::SparseMap(entry, map, left);
            return Ok(None);
        };
        let map = SparseMap::new(parts, entry.size, left)?;
        Ok(Some(self.begin(entry, map)))
    }

    /// Tells of an entry; its data is next.
    fn begin(&mut self, mut entry: Box<Entry>, map: SparseMap) -> Box<Entry> {
        entry.size = map.size();
        self.state = if entry.kind == EntryKind::File { State::Data(map, 0) } else { State::Header };
        entry
    }

    /// `None`: more input is needed, or the file is over.
    fn data<'a>(&mut self, mut map: SparseMap, left: u64, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let left = match left {
            0 => match map.step() {
                Some(Step::Data(length)) => length,
                Some(Step::Hole(length)) => {
                    self.state = State::Data(map, 0);
                    return Some(Event::Hole(length));
                }
                None => {
                    self.state = State::Padding(padding(std::mem::take(&mut self.pending.data)), true);
                    return None;
                }
            },
            left => left,
        };
        let taken = take(input, left);
        self.state = State::Data(map, left - taken.len() as u64);
        (!taken.is_empty()).then_some(Event::Data(taken))
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.path.is_none() && self.link.is_none()
    }

    fn take(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let is_twice = match kind {
            b'x' => self.pax.replace(Pax::parse(body)?).is_some(),
            b'L' => self.path.replace(long_name(body)?).is_some(),
            b'K' => self.link.replace(long_name(body)?).is_some(),
            _ => return check_global(body),
        };
        if is_twice { Err(malformed("a tar entry has two extensions of one kind")) } else { Ok(()) }
    }
}

/// The entry of this header and its extensions, and what they say of a sparse file.
fn entry(
    header: &Header,
    pax: Pax,
    (path, link): (Option<Vec<u8>>, Option<Vec<u8>>),
    size: u64,
) -> Result<(Box<Entry>, PaxSparse)> {
    let path = pax.path.or(path).unwrap_or_else(|| header.path());
    let kind = entry_kind(header.kind(), &path)?;
    if kind != EntryKind::File && size > 0 {
        return Err(malformed(format!("{} is no file, and has data", shown(&path))));
    }
    let is_device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
    let entry = Entry {
        path,
        link: pax.link.or(link).unwrap_or_else(|| header.link()),
        kind,
        mode: header.mode()?,
        uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
        gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
        mtime: pax.mtime.map_or_else(|| header.mtime().map(|secs| Time { secs, nanos: 0 }), Ok)?,
        size,
        device: if is_device { header.device()? } else { (0, 0) },
        xattrs: pax.xattrs,
    };
    Ok((Box::new(entry), pax.sparse))
}

/// The size of an entry's data. The extended header's size counts, and may only differ from the header's own if
/// that one cannot express it: programs disagree about which of them says where the next header is.
fn data_size(header: &Header, pax: Option<u64>) -> Result<u64> {
    let (size, Some(pax)) = (header.size()?, pax) else { return header.size() };
    if pax != size && pax <= MAX_OCTAL {
        return Err(malformed("a tar entry has two sizes that differ"));
    }
    Ok(pax)
}

fn entry_kind(kind: u8, path: &[u8]) -> Result<EntryKind> {
    let is_directory = path.ends_with(b"/");
    Ok(match kind {
        0 if is_directory => EntryKind::Directory,
        b'0' | 0 | b'7' | b'S' if !is_directory => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'0' | b'7' | b'S' => {
            return Err(malformed(format!("{} is a file with a directory's name", shown(path))));
        }
        _ => {
            let message = format!("{} has the unknown type {:?}", shown(path), char::from(kind));
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    })
}

/// A long name ends with a NUL byte, which some writers leave out.
fn long_name(body: &[u8]) -> Result<Vec<u8>> {
    let name = body.strip_suffix(b"\0").unwrap_or(body);
    if name.contains(&0) || name.is_empty() {
        return Err(malformed("a long name in a tar archive is empty, or contains a NUL byte"));
    }
    Ok(name.to_vec())
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Takes at most `most` bytes from the front.
fn take<'a>(input: &mut &'a [u8], most: u64) -> &'a [u8] {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

/// A path for messages.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
