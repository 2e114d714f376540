//! Records which parts of a blob are written, so that a process that takes over does not fetch them again.
//!
//! While a blob arrives in order, the length of its data says everything, so most blobs never have a journal.
//! Before the first bytes that arrive out of order are written, a journal is created that records ranges from
//! then on.

use std::fs::File;
use std::io::{Read, Result, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::ranges::Ranges;
use crate::fs::dir::{Dir, fail};

/// The journal of one blob.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: Arc<Dir>,
    name: String,
    file: Option<File>,
}

impl Journal {
    /// The journal of this name, which does not exist yet.
    pub(crate) fn none(dir: Arc<Dir>, name: String) -> Self {
        Self { dir, name, file: None }
    }

    /// Opens the journal of this name, if it exists, and returns the written ranges of the blob of this size:
    /// those in the journal, or else those that the data's length implies. A journal that claims more than the
    /// data has, as after a power cut, is not trusted at all.
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

    /// Removes the journal if it exists. From then on the data's length says what is written.
    pub(crate) fn remove(&mut self) -> hoist_core::Result<()> {
        if self.file.take().is_some() {
            self.dir.unlink(&self.name)?;
        }
        Ok(())
    }

    /// Must be called before bytes are written at this offset, with the ranges written so far.
    pub(crate) fn expect(&mut self, offset: u64, written: &Ranges) -> hoist_core::Result<()> {
        if self.file.is_none() && offset != written.end() {
            self.file = Some(self.create()?);
            self.note(written)?;
        }
        Ok(())
    }

    /// Rewrites the journal with these ranges and syncs it. All other ranges count as missing from then on, and
    /// may be overwritten. After a crash on the way, the journal claims less.
    pub(crate) fn begin_anew(&mut self, written: &Ranges) -> hoist_core::Result<()> {
        self.file = Some(self.create()?);
        self.note(written)?;
        if self.dir.is_durable() {
            let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
            synced.map_err(|e| fail("sync", &self.path(), e))?;
        }
        self.dir.sync()
    }

    /// Records these ranges as written.
    pub(crate) fn note(&self, written: &Ranges) -> hoist_core::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        for Range { start, end } in written.iter() {
            let line = format!("{start} {end}\n");
            file.write_all(line.as_bytes()).map_err(|e| fail("write", &self.path(), e))?;
        }
        Ok(())
    }

    /// Creates an empty journal. A crash may have left one about data that no longer exists; that one is
    /// emptied.
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
    let text = String::from_utf8_lossy(&bytes); // invalid text is ignored, like a torn line
    if !text.is_empty() && !text.ends_with('\n') {
        journal.write_all(b"\n")?; // a crash tore the last line; the next one must not continue it
    }
    Ok(parse(&text))
}

/// The ranges in a journal. A last line that a crash tore is ignored.
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
