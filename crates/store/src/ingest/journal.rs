//! What of a blob is written, so that a process that takes over need not fetch it again.
//!
//! As long as a blob comes in its order, the length of its data says it all, and there is no journal: most blobs never
//! have one. The first bytes that come out of order are preceded by a file that notes ranges from then on.

use std::fs::File;
use std::io::{Read, Result, Seek, Write};
use std::ops::Range;
use std::sync::Arc;

use super::ranges::Ranges;
use crate::dir::{Dir, fail};

const NAME: &str = "journal";

/// The notes on one blob.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: Arc<Dir>,
    file: Option<File>,
}

impl Journal {
    /// The journal in a blob's directory, with what it says to be written of the blob of this size. One that claims
    /// more than there is in `data`, as after a power cut, is not believed at all.
    pub(crate) fn open(dir: Arc<Dir>, data: &File, size: u64) -> hoist_core::Result<(Self, Ranges)> {
        let file = dir.open_to_write(NAME)?;
        let written = recover(data, file.as_ref(), size).map_err(|e| fail("resume", dir.path(), e))?;
        Ok((Self { dir, file }, written))
    }

    /// To be called before bytes are written at this offset, with what is written.
    pub(crate) fn expect(&mut self, offset: u64, written: &Ranges) -> hoist_core::Result<()> {
        if self.file.is_none() && offset != written.end() {
            self.file = Some(self.dir.open_or_create(NAME)?);
            self.note(written)?;
        }
        Ok(())
    }

    /// Notes anew what is there, and syncs that: all else is missing from then on, and may be overwritten. A crash on the
    /// way leaves a journal that says less.
    pub(crate) fn begin_anew(&mut self, written: &Ranges) -> hoist_core::Result<()> {
        let path = self.dir.path().join(NAME);
        let failed = |e| fail("write", &path, e);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.dir.open_or_create(NAME)?,
        };
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        self.file = Some(file);
        self.note(written)?;
        if self.dir.is_durable() {
            self.file.as_ref().map_or(Ok(()), File::sync_data).map_err(failed)?;
        }
        self.dir.sync()
    }

    /// Notes what was written.
    pub(crate) fn note(&self, written: &Ranges) -> hoist_core::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        for Range { start, end } in written.iter() {
            let line = format!("{start} {end}\n");
            file.write_all(line.as_bytes()).map_err(|e| fail("write", &self.dir.path().join(NAME), e))?;
        }
        Ok(())
    }
}

fn recover(data: &File, journal: Option<&File>, size: u64) -> Result<Ranges> {
    let length = data.metadata()?.len();
    let written = match journal {
        Some(journal) => read(journal)?,
        None => Ranges::from(0..length),
    };
    if written.end() <= length.min(size) {
        return Ok(written);
    }
    data.set_len(0)?;
    if let Some(mut journal) = journal {
        journal.set_len(0)?;
        journal.rewind()?;
    }
    Ok(Ranges::default())
}

fn read(mut journal: &File) -> Result<Ranges> {
    let mut bytes = Vec::new();
    journal.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes); // what is no text is passed over, as a torn line is
    if !text.is_empty() && !text.ends_with('\n') {
        journal.write_all(b"\n")?; // a crash tore the last line; the next one must not continue it
    }
    Ok(parse(&text))
}

/// The ranges that a journal notes; a last line that a crash tore is passed over.
fn parse(journal: &str) -> Ranges {
    let mut ranges = Ranges::default();
    for line in journal.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if let Some((start, end)) = line.split_once(' ')
            && let (Ok(start), Ok(end)) = (start.parse::<u64>(), end.parse::<u64>())
        {
            ranges.insert(start..end);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_of_a_journal_is_passed_over() {
        let ranges = parse("0 10\n20 30\nnonsense\n10 15\n30 9");
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0..15, 20..30]);
    }
}
