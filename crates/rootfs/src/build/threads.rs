//! Unpacks the layers of an image on several threads: for each layer, one decompresses, and one hashes, parses and
//! writes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hoist_core::{Digest, Error, ErrorKind, Result};

use crate::layer::{Decoder, Layer, Spool, Unpacker};
use crate::limits::Budget;

/// Decompressed bytes go from one thread to the other in pieces of this size, and at most so many of them wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 2;

/// How many layers are unpacked at once. Each takes its window and a few pieces.
const AT_ONCE: usize = 4;

/// A layer to unpack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source<S> {
    /// How to open its compressed bytes.
    pub(crate) blob: S,
    pub(crate) diff_id: Digest,
}

/// What all threads share.
struct Shared<'a, S, O> {
    layers: &'a [Source<S>],
    open: O,
    /// The directory for the layers' data.
    spools: &'a Path,
    budget: &'a Arc<Budget>,
    stop: &'a AtomicBool,
    next: AtomicUsize,
    done: Mutex<Done>,
}

/// What came of the layers.
struct Done {
    layers: Vec<Option<Layer>>,
    /// The error of the lowest layer that has one.
    failed: Option<(usize, Error)>,
}

/// Unpacks all layers, and returns them in their order. Setting `stop` makes it fail soon; it is also set if a layer
/// fails.
pub(crate) fn unpack<S: Sync, R: BufRead + Send>(
    layers: &[Source<S>],
    open: impl Fn(&S) -> Result<R> + Sync,
    spools: &Path,
    budget: &Arc<Budget>,
    stop: &AtomicBool,
) -> Result<Vec<Layer>> {
    let done = Mutex::new(Done { layers: layers.iter().map(|_| None).collect(), failed: None });
    let shared = Shared { layers, open, spools, budget, stop, next: AtomicUsize::new(0), done };
    thread::scope(|scope| {
        for _ in 0..layers.len().min(AT_ONCE) {
            scope.spawn(|| shared.work());
        }
    });
    let done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    match done.failed {
        Some((_, error)) => Err(error),
        None => done.layers.into_iter().collect::<Option<_>>().ok_or_else(stopped),
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Storage, "the call was dropped before the root file system was made")
}

impl<S: Sync, R: BufRead + Send, O: Fn(&S) -> Result<R> + Sync> Shared<'_, S, O> {
    /// Unpacks one layer after the other.
    fn work(&self) {
        while let Some((index, layer)) = self.take() {
            let outcome = self.unpack_one(layer);
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(layer) => done.layers[index] = layer,
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    if done.failed.as_ref().is_none_or(|(before, _)| index < *before) {
                        done.failed = Some((index, error));
                    }
                }
            }
        }
    }

    /// The next layer that no thread has begun.
    fn take(&self) -> Option<(usize, &Source<S>)> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Some((index, self.layers.get(index)?))
    }

    /// `None`: it was stopped.
    fn unpack_one(&self, layer: &Source<S>) -> Result<Option<Layer>> {
        let file = tempfile::tempfile_in(self.spools);
        let file =
            file.map_err(|e| Error::io(format!("cannot create a file in {}", self.spools.display()), e))?;
        let mut unpacker = Unpacker::new(Spool::new(file), layer.diff_id.clone(), self.budget.clone());
        let source = (self.open)(&layer.blob)?;
        let (pieces, taken) = sync_channel(WAITING);
        let (returned, spare) = sync_channel(WAITING + 2);
        thread::scope(|scope| {
            scope.spawn(move || decompress(source, self.budget, &pieces, &spare));
            for piece in taken {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let piece: Vec<u8> = piece?;
                unpacker.push(&piece)?;
                let _ = returned.try_send(piece);
            }
            unpacker.finish().map(Some)
        })
    }
}

/// Decompresses until the layer has ended, or nobody takes the pieces any more.
fn decompress(
    source: impl BufRead,
    budget: &Budget,
    pieces: &SyncSender<Result<Vec<u8>>>,
    spare: &Receiver<Vec<u8>>,
) {
    let mut decoder = match Decoder::new(source, budget.limits()) {
        Ok(decoder) => decoder,
        Err(error) => return drop(pieces.send(Err(error))),
    };
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        match fill(&mut decoder, &mut piece) {
            Ok(()) if piece.is_empty() => return,
            outcome => {
                let is_last = outcome.is_err();
                if pieces.send(outcome.map(|()| piece)).is_err() || is_last {
                    return;
                }
            }
        }
    }
}

/// Reads as much as a piece may have. Nothing: the layer has ended.
fn fill(decoder: &mut Decoder<impl BufRead>, piece: &mut Vec<u8>) -> Result<()> {
    piece.resize(PIECE, 0);
    let mut filled = 0;
    while filled < PIECE {
        match decoder.read(&mut piece[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    piece.truncate(filled);
    Ok(())
}

/// A file's bytes, read ahead.
pub(crate) fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(PIECE, file)
}
