//! Walks through a tar file, as GNU tar and Go's `archive/tar` do, and notes where its members are.
//!
//! The `tar` crate parses the headers. The walk is our own, because each member's pieces are needed, and because the
//! end of a file that was cut off must be noticed.

use std::collections::HashMap;

use tar::{Header, PaxExtensions};

use super::blocks::{BLOCK, Blocks, Stop, padded};
use super::sparse::{self, Content};

/// The most bytes of a member's long name or pax records. GNU tar's own names have at most 4 KiB.
const MAX_EXTENSION: u64 = 1 << 20;

/// A member of an archive.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name as it is in the archive.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    File(Content),
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    /// A device, a FIFO, or a file that begins in another volume.
    Other,
}

/// What stands before a member and is about it.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: HashMap<String, String>,
}

/// How a walk ended.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) stop: Stop,
    /// The byte that it stopped at.
    pub(super) offset: u64,
}

/// Shows all members to `visit`. Says whether the archive has a mark at its end.
pub(super) fn walk<E: From<Trouble>>(
    blocks: &Blocks<'_>,
    mut visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<bool, E> {
    let (mut offset, mut extensions) = (0, Extensions::default());
    while !blocks.is_end(offset) {
        let at = |stop| Trouble { stop, offset };
        let Some(header) = header(blocks, offset).map_err(at)? else { return Ok(true) };
        if let Some(next) = extension(blocks, &header, offset, &mut extensions).map_err(at)? {
            offset = next;
            continue;
        }
        let about = std::mem::take(&mut extensions);
        let (kind, next) = content(blocks, &header, offset + BLOCK, &about).map_err(at)?;
        visit(Member { path: about.path(&header), kind })?;
        offset = next;
    }
    if extensions.is_empty() { Ok(false) } else { Err(Trouble { stop: Stop::CutOff, offset }.into()) }
}

/// The header at this place. `None`: it is the mark at the end.
fn header(blocks: &Blocks<'_>, offset: u64) -> Result<Option<Header>, Stop> {
    let bytes = blocks.read(offset, BLOCK)?;
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes);
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let expected = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    match header.cksum() {
        Ok(found) if found == expected => Ok(Some(header)),
        _ => Err(Stop::Damaged),
    }
}

/// Reads a header that is about the next member, or about all. `None`: this is a member itself.
fn extension(
    blocks: &Blocks<'_>,
    header: &Header,
    offset: u64,
    extensions: &mut Extensions,
) -> Result<Option<u64>, Stop> {
    let kind = header.entry_type().as_byte();
    if !matches!(kind, b'x' | b'L' | b'K' | b'g' | b'V') {
        return Ok(None);
    }
    let (data, size) = (offset + BLOCK, header.entry_size().map_err(|_| Stop::Damaged)?);
    let content = || match size {
        ..=MAX_EXTENSION => blocks.read(data, size),
        _ => Err(Stop::Damaged),
    };
    let text = || Ok(content()?.into_iter().take_while(|&byte| byte != 0).collect());
    match kind {
        b'x' => extensions.note(&content()?)?,
        b'L' => extensions.path = Some(text()?),
        b'K' => extensions.link = Some(text()?),
        _ => {} // comments about the whole archive, as `git archive` writes one, and the volume's label
    }
    blocks.check(data, size)?;
    Ok(Some(data + padded(size)))
}

/// What a member is, and where the next header begins. `data` is where its own header ends.
fn content(blocks: &Blocks<'_>, header: &Header, data: u64, about: &Extensions) -> Result<(Kind, u64), Stop> {
    let link = || about.link.clone().or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
    match header.entry_type().as_byte() {
        // Go, Python and GNU tar take these for headers only, whatever size they have.
        b'1' => Ok((Kind::HardLink(link()), data)),
        b'2' => Ok((Kind::Symlink(link()), data)),
        b'3' | b'4' | b'6' => Ok((Kind::Other, data)),
        b'5' => Ok((Kind::Directory, data)),
        kind => with_data(blocks, header, kind, data, about),
    }
}

fn with_data(
    blocks: &Blocks<'_>,
    header: &Header,
    kind: u8,
    data: u64,
    about: &Extensions,
) -> Result<(Kind, u64), Stop> {
    let stored = match about.records.get("size") {
        Some(size) => size.parse().map_err(|_| Stop::Damaged)?, // CVE-2025-62518: it goes before the header's
        None => header.entry_size().map_err(|_| Stop::Damaged)?,
    };
    if kind == b'S' {
        let (content, next) = sparse::old_gnu(blocks, header, data, stored)?;
        return Ok((Kind::File(content), next));
    }
    blocks.check(data, stored)?;
    let kind = match kind {
        b'D' => Kind::Directory, // of GNU tar's incremental archives
        b'M' => Kind::Other,
        _ if about.path(header).ends_with(b"/") => Kind::Directory, // before POSIX
        _ => Kind::File(about.content(blocks, data, stored)?),
    };
    Ok((kind, data + padded(stored)))
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.records.is_empty()
    }

    fn path(&self, header: &Header) -> Vec<u8> {
        self.path.clone().unwrap_or_else(|| header.path_bytes().into_owned())
    }

    /// Notes the pax records of a member, in place of earlier ones. An empty value leaves the header's.
    fn note(&mut self, records: &[u8]) -> Result<(), Stop> {
        self.records.clear();
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| Stop::Damaged)?;
            if let Ok(key) = record.key()
                && !record.value_bytes().is_empty()
            {
                self.note_record(key, record.value_bytes());
            }
        }
        Ok(())
    }

    fn note_record(&mut self, key: &str, value: &[u8]) {
        match key {
            "path" if self.records.contains_key(sparse::NAME) => {} // a name for programs without sparse files
            "path" | sparse::NAME => self.path = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            _ => {}
        }
        let Ok(value) = str::from_utf8(value) else { return };
        if matches!(key, "GNU.sparse.offset" | "GNU.sparse.numbytes") {
            let map = self.records.entry(sparse::MAP.to_owned()).or_default();
            map.extend((!map.is_empty()).then_some(","));
            map.push_str(value);
        } else {
            self.records.insert(key.to_owned(), value.to_owned());
        }
    }

    fn content(&self, blocks: &Blocks<'_>, data: u64, stored: u64) -> Result<Content, Stop> {
        let sparse = sparse::pax(blocks, &self.records, data, stored)?;
        Ok(sparse.unwrap_or_else(|| Content::plain(data, stored)))
    }
}
