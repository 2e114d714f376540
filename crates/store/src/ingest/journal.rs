//! What of a blob is written, so that a process that takes over need not fetch it again.
//!
//! As long as a blob comes in its order, the length of its data says it all, and there is no journal: most blobs never
//! have one. The first bytes that come out of order are preceded by a file that notes ranges from then on.

use std::fs::File;
use std::io::{Read, Result, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::ranges::Ranges;
use crate::fs::dir::{Dir, fail};

/// The notes on one blob.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: Arc<Dir>,
    name: String,
    file: Option<File>,
}

impl Journal {
    /// The journal of this name, which is not there yet.
    pub(crate) fn none(dir: Arc<Dir>, name: String) -> Self {
        Self { dir, name, file: None }
    }

    /// The journal of this name, where there is one, with what is written of the blob of this size: as it says, or as the
    /// length of the data does. One that claims more than there is, as after a power cut, is not believed at all.
    pub(crate) fn open(
        dir: Arc<Dir>,
        name: String,
        data: (&File, u64),
        size: u64,
    ) -> hoist_core::Result<(Self, Ranges)> {
        let file = dir.open_to_write(&name)?;
        let written = recover(data, file.as_ref(), size);
        let written = written.map_err(|e| fail("resume", &dir.path().join(&name), e))?;
        Ok((Self { dir, name, file }, written))
    }

    pub(crate) fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// Removes it, where there is one: then the length of the data says what is there.
    pub(crate) fn remove(&mut self) -> hoist_core::Result<()> {
        if self.file.take().is_some() {
            self.dir.unlink(&self.name)?;
        }
        Ok(())
    }

    /// To be called before bytes are written at this offset, with what is written.
    pub(crate) fn expect(&mut self, offset: u64, written: &Ranges) -> hoist_core::Result<()> {
        if self.file.is_none() && offset != written.end() {
            self.file = Some(self.create()?);
            self.note(written)?;
        }
        Ok(())
    }

    /// Notes anew what is there, and syncs that: all else is missing from then on, and may be overwritten. A crash on the
    /// way leaves a journal that says less.
    pub(crate) fn begin_anew(&mut self, written: &Ranges) -> hoist_core::Result<()> {
        self.file = Some(self.create()?);
        self.note(written)?;
        if self.dir.is_durable() {
            let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
            synced.map_err(|e| fail("sync", &self.path(), e))?;
        }
        self.dir.sync()
    }

    /// Notes what was written.
    pub(crate) fn note(&self, written: &Ranges) -> hoist_core::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        for Range { start, end } in written.iter() {
            let line = format!("{start} {end}\n");
            file.write_all(line.as_bytes()).map_err(|e| fail("write", &self.path(), e))?;
        }
        Ok(())
    }

    /// An empty file: the notes on what is there no more, which a crash may have left, are none on this blob.
    fn create(&self) -> hoist_core::Result<File> {
        let file = self.dir.open_or_create(&self.name)?;
        file.set_len(0).map_err(|e| fail("write", &self.path(), e))?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }
}

fn recover((data, length): (&File, u64), journal: Option<&File>, size: u64) -> Result<Ranges> {
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
