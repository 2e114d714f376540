//! One blob of the fetch: claimed in the store, scheduled, and verified. Wrong ranges are fetched again.

use std::collections::HashSet;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{self, Either};
use futures_util::stream::BoxStream;
use hoist_core::{Descriptor, ErrorKind, Event, Result, Source};
use hoist_store::{Claim, Ingest, Staging};
use tokio::sync::Notify;

use super::Fetch;
use super::state::{Known, Open, State};
use crate::provenance::{Provenance, joined};
use crate::source::{BlobSource, Tier};

type Found = BoxStream<'static, Arc<dyn BlobSource>>;

impl Fetch<'_> {
    /// Fetches one blob into the image. If its digest is wrong, the ranges of the suspects are fetched again: those
    /// from all sources but the most trusted one, and those that an earlier pull had left. If it is still wrong, the
    /// whole blob is fetched in one piece from the most trusted source.
    pub(super) async fn fetch(&self, staging: &Staging, place: usize) -> Result<()> {
        let blob = self.blob(place);
        let claim = staging.claim(blob).await?;
        self.state().scheduler.found(blob.size);
        let Claim::Fetch(ingest) = claim else {
            self.events.emit(|| Event::blob_found(blob.digest.clone(), blob.size));
            return Ok(());
        };
        tracing::info!(digest = %blob.digest, size = blob.size, resumed = ingest.is_resumed(), "fetching a blob");
        let mut missing = ingest.missing().to_vec();
        self.state().provenance.insert(place, Provenance::of_rest(&missing, blob.size));
        self.tell_start(place, &missing);
        let mut finder = self.blobs[place].sources.finder.as_ref().map(|finder| finder.find(blob));
        let (mut in_pieces, mut suspected) = (true, Vec::new());
        loop {
            let pieces = self.schedule(place, &ingest, &missing, in_pieces, &mut finder).await;
            match ingest.commit().await {
                Err(error) if *error.kind() == ErrorKind::DigestMismatch => {
                    let parts = self.suspects(place);
                    missing = if !parts.is_empty() {
                        joined(&parts)
                    } else if in_pieces
                        && (pieces > 1
                            || missing.iter().map(|gap| gap.end - gap.start).sum::<u64>() < blob.size)
                    {
                        in_pieces = false;
                        self.state().provenance.remove(&place);
                        std::iter::once(0..blob.size).collect()
                    } else {
                        return Err(error);
                    };
                    suspected.extend(parts);
                    tracing::warn!(digest = %blob.digest, "a blob is wrong; fetching a part of it again");
                    ingest.reopen(&missing).await?;
                    self.tell_start(place, &missing);
                }
                outcome => {
                    outcome?;
                    self.name_liars(place, &suspected, &ingest.replaced());
                    self.events.emit(|| Event::blob_verified(blob.digest.clone()));
                    return Ok(());
                }
            }
        }
    }

    /// Schedules the missing ranges of a blob, and waits until they are written. Adds the sources that are found
    /// meanwhile. Returns the number of pieces.
    async fn schedule(
        &self,
        place: usize,
        ingest: &Ingest,
        missing: &[Range<u64>],
        in_pieces: bool,
        finder: &mut Option<Found>,
    ) -> usize {
        let is_whole = Arc::new(Notify::new());
        let has_choice = {
            let mut state = self.state();
            state.scheduler.add(place, missing, in_pieces);
            state.open.insert(place, Open { queue: ingest.queue().clone(), is_whole: is_whole.clone() });
            state.sources.len() > 1
        };
        if has_choice {
            self.announce();
        } else {
            self.work.notify_waiters(); // to wake all others for each of many small blobs is dear
        }
        loop {
            let whole = is_whole.notified();
            if self.state().scheduler.is_written(place) {
                break;
            }
            let Some(found) = finder else {
                whole.await;
                continue;
            };
            match future::select(pin!(whole), found.next()).await {
                Either::Left(_) => {}
                Either::Right((None, _)) => *finder = None,
                Either::Right((Some(source), _)) => {
                    self.state().add(self.fetcher, place, Tier::Peer, source);
                    self.announce();
                }
            }
        }
        let mut state = self.state();
        state.open.remove(&place);
        state.scheduler.remove(place)
    }

    /// The ranges of a wrong blob that have to be fetched again, each with its source.
    fn suspects(&self, place: usize) -> Vec<(Range<u64>, Option<usize>)> {
        let mut state = self.state();
        let State { candidates, provenance, .. } = &mut *state;
        let Some(provenance) = provenance.get_mut(&place) else { return Vec::new() };
        let suspects = candidates[place].suspect(&provenance.sources());
        provenance.take(&suspects)
    }

    /// Logs the suspects whose bytes were replaced by different ones, and lets these sources rest for long.
    fn name_liars(&self, place: usize, suspected: &[(Range<u64>, Option<usize>)], replaced: &[Range<u64>]) {
        let overlaps = |part: &Range<u64>| replaced.iter().any(|r| r.start < part.end && part.start < r.end);
        let liars: HashSet<_> =
            suspected.iter().filter(|(part, _)| overlaps(part)).filter_map(|(_, source)| *source).collect();
        let state = self.state();
        for liar in liars {
            let Known { source, state: known, .. } = &state.sources[liar];
            known.lied();
            tracing::warn!(digest = %self.blob(place).digest, %source, "a source sent wrong bytes");
        }
    }

    fn tell_start(&self, place: usize, missing: &[Range<u64>]) {
        let Descriptor { digest, size, .. } = self.blob(place);
        self.events.emit(|| Event::blob_started(digest.clone(), *size));
        let left = missing.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        self.progress(place, size - left, || Source::Store);
    }
}
