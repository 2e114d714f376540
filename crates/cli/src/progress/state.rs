//! What the events have told: the pulls that are running, and how much of each blob is here.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use hoist::{Descriptor, Digest, Event, Platform, Reference, Source};

use super::rate::Rate;
use super::report::{Layer, Report, Step, Sum, short};

/// How long a blob has to be under way before it is shown. Small ones come and go too fast to be read.
const SETTLED: Duration = Duration::from_millis(300);

/// The pulls that are running, and the blobs of all pulls.
#[derive(Debug, Default)]
pub(super) struct State {
    pulls: Vec<Pull>,
    blobs: HashMap<Digest, Blob>,
}

/// A pull, or several equal ones.
#[derive(Debug)]
struct Pull {
    reference: Reference,
    platform: Platform,
    running: usize,
    began: Instant,
    digest: Option<Digest>,
    /// The blobs of the image; those of which there was an event, where its backend does not list them.
    blobs: Option<Vec<(Digest, u64)>>,
    is_hit: bool,
    rate: Rate,
}

/// How much of a blob is here.
#[derive(Debug, Clone, Copy)]
struct Blob {
    size: u64,
    bytes: u64,
    /// The bytes that were here before.
    here: u64,
    /// When it began to be fetched, while it is.
    since: Option<Instant>,
    is_done: bool,
}

impl State {
    /// Takes in an event. Returns a report if a pull has begun to fetch, or has ended.
    pub(super) fn apply(&mut self, event: Event, now: Instant) -> Option<Report> {
        match event {
            Event::Started { reference, platform, .. } => self.start(&reference, &platform, now),
            Event::Resolved { reference, platform, digest, .. } => {
                self.find(&reference, &platform)?.digest = Some(digest);
                None
            }
            Event::Manifest { reference, platform, blobs, .. } => {
                self.find(&reference, &platform)?.list(&blobs);
                self.report_of(&reference, &platform, Step::Begun, now)
            }
            Event::Hit { reference, platform, digest, .. }
            | Event::ServedStale { reference, platform, digest, .. } => {
                let pull = self.find(&reference, &platform)?;
                (pull.digest, pull.is_hit) = (Some(digest), true);
                None
            }
            Event::Committed { reference, platform, .. } => {
                let is_hit = self.find(&reference, &platform)?.is_hit;
                self.end(&reference, &platform, if is_hit { Step::Hit } else { Step::Done }, now)
            }
            Event::Failed { reference, platform, kind, .. } => {
                self.end(&reference, &platform, Step::Failed(kind), now)
            }
            Event::Cancelled { reference, platform, .. } => {
                self.end(&reference, &platform, Step::Cancelled, now)
            }
            blob => {
                self.apply_to_blob(blob, now);
                None
            }
        }
    }

    fn start(&mut self, reference: &Reference, platform: &Platform, now: Instant) -> Option<Report> {
        if let Some(pull) = self.find(reference, platform) {
            pull.running += 1;
            return None;
        }
        self.pulls.push(Pull {
            reference: reference.clone(),
            platform: platform.clone(),
            running: 1,
            began: now,
            digest: None,
            blobs: None,
            is_hit: false,
            rate: Rate::default(),
        });
        self.report_of(reference, platform, Step::Resolving, now)
    }

    fn apply_to_blob(&mut self, event: Event, now: Instant) {
        match event {
            Event::BlobFound { digest, size, .. } => {
                self.note(&digest, size);
                // A blob that this process has fetched for another image was not here before.
                let blob = Blob { size, bytes: size, here: size, since: None, is_done: true };
                self.blobs.entry(digest).and_modify(Blob::finish).or_insert(blob);
            }
            Event::BlobStarted { digest, size, .. } => {
                self.note(&digest, size);
                let blob = Blob { size, bytes: 0, here: 0, since: Some(now), is_done: false };
                self.blobs.insert(digest, blob);
            }
            Event::BlobProgress { digest, bytes, from, .. } => {
                if let Some(blob) = self.blobs.get_mut(&digest) {
                    blob.bytes = blob.size.min(blob.bytes + bytes);
                    blob.here += if from == Source::Store { bytes } else { 0 };
                }
            }
            Event::BlobVerified { digest, .. } => {
                self.blobs.entry(digest).and_modify(Blob::finish);
            }
            _ => {}
        }
    }

    /// Adds a blob that no image lists to the only one that has no list.
    fn note(&mut self, digest: &Digest, size: u64) {
        let is_new = !self.blobs.contains_key(digest);
        let is_listed = |pull: &Pull| pull.blobs.iter().flatten().any(|(listed, _)| listed == digest);
        if is_new && !self.pulls.iter().any(is_listed) {
            let mut others = self.pulls.iter_mut().filter(|pull| !pull.is_hit && pull.blobs.is_none());
            if let (Some(pull), None) = (others.next(), others.next()) {
                pull.blobs = Some(vec![(digest.clone(), size)]);
            } else if let [pull] = &mut self.pulls[..] {
                pull.blobs.get_or_insert_default().push((digest.clone(), size));
            }
        }
    }

    fn find(&mut self, reference: &Reference, platform: &Platform) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|pull| pull.is(reference, platform))
    }

    /// Ends a pull. The last of several equal ones is reported.
    fn end(
        &mut self,
        reference: &Reference,
        platform: &Platform,
        step: Step,
        now: Instant,
    ) -> Option<Report> {
        let pull = self.find(reference, platform)?;
        pull.running -= 1;
        if pull.running > 0 {
            return None;
        }
        let report = self.report_of(reference, platform, step, now);
        self.pulls.retain(|pull| !pull.is(reference, platform));
        report
    }

    fn report_of(
        &mut self,
        reference: &Reference,
        platform: &Platform,
        step: Step,
        now: Instant,
    ) -> Option<Report> {
        let pull = self.pulls.iter_mut().find(|pull| pull.is(reference, platform))?;
        Some(pull.report(&self.blobs, step, now))
    }

    /// A report about each pull that is running, in the order in which they began.
    pub(super) fn reports(&mut self, now: Instant) -> Vec<Report> {
        let Self { pulls, blobs } = self;
        let step = |pull: &Pull| if pull.blobs.is_some() { Step::Fetching } else { Step::Resolving };
        pulls.iter_mut().map(|pull| pull.report(blobs, step(pull), now)).collect()
    }

    /// The bytes that were fetched, of all images.
    pub(super) fn fetched(&self) -> u64 {
        self.blobs.values().map(|blob| blob.bytes.saturating_sub(blob.here)).sum()
    }
}

impl Blob {
    fn finish(&mut self) {
        (self.bytes, self.since, self.is_done) = (self.size, None, true);
    }
}

impl Pull {
    fn is(&self, reference: &Reference, platform: &Platform) -> bool {
        self.reference == *reference && self.platform == *platform
    }

    fn list(&mut self, blobs: &[Descriptor]) {
        let mut seen = HashSet::new();
        let once = blobs.iter().filter(|blob| seen.insert(&blob.digest));
        self.blobs = Some(once.map(|blob| (blob.digest.clone(), blob.size)).collect());
    }

    fn report(&mut self, blobs: &HashMap<Digest, Blob>, step: Step, now: Instant) -> Report {
        let mut sum = self.sum(blobs);
        if step == Step::Done {
            sum.finish();
        }
        self.rate.sample(now, sum.done.saturating_sub(sum.here));
        Report {
            reference: self.reference.clone(),
            platform: self.platform.clone(),
            step,
            digest: self.digest.clone(),
            sum,
            rate: self.rate.per_second(),
            took: now.duration_since(self.began),
            moving: self.moving(blobs, now),
        }
    }

    fn sum(&self, blobs: &HashMap<Digest, Blob>) -> Sum {
        let mut sum = Sum::default();
        for (digest, size) in self.blobs.iter().flatten() {
            sum.total += size;
            sum.blobs += 1;
            if let Some(blob) = blobs.get(digest) {
                sum.done += blob.bytes.min(*size);
                sum.here += blob.here.min(*size);
                sum.blobs_done += usize::from(blob.is_done);
            }
        }
        sum
    }

    fn moving(&self, blobs: &HashMap<Digest, Blob>, now: Instant) -> Vec<Layer> {
        let mut moving = Vec::new();
        for (digest, total) in self.blobs.iter().flatten() {
            let Some(blob) = blobs.get(digest) else { continue };
            let has_settled = |since: &Instant| blob.bytes > 0 && now.duration_since(*since) >= SETTLED;
            if let Some(since) = blob.since.filter(has_settled) {
                moving.push((since, Layer { name: short(digest), done: blob.bytes, total: *total }));
            }
        }
        moving.sort_by_key(|(since, _)| *since);
        moving.into_iter().map(|(_, layer)| layer).collect()
    }
}

impl Sum {
    /// All is here. Blobs of which there was no event were here before, as an image of another name.
    fn finish(&mut self) {
        self.here += self.total.saturating_sub(self.done);
        (self.done, self.blobs_done) = (self.total, self.blobs);
    }
}
