//! Progress on stderr: a bar for each layer on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use hoist::{Digest, Event};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

/// How many hexadecimal digits of a digest are shown: as many as docker shows.
const SHORT: usize = 12;
const BAR: &str = "{prefix}  {bar:30}  {bytes:>10} of {total_bytes:<10}  {bytes_per_sec:>12}  {msg}";

/// Shows what happens in a pull. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Show>);

#[derive(Debug)]
enum Show {
    Bars { all: MultiProgress, blobs: Mutex<HashMap<Digest, ProgressBar>> },
    Lines { sizes: Mutex<HashMap<Digest, u64>> },
}

impl Progress {
    /// Bars, or else lines.
    pub(crate) fn new(bars: bool) -> Self {
        Self(Arc::new(if bars {
            Show::Bars { all: MultiProgress::new(), blobs: Mutex::default() }
        } else {
            Show::Lines { sizes: Mutex::default() }
        }))
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: Event) {
        match &*self.0 {
            Show::Bars { all, blobs } => {
                draw(all, &mut blobs.lock().unwrap_or_else(PoisonError::into_inner), event);
            }
            Show::Lines { sizes } => {
                if let Some(line) = line(&mut sizes.lock().unwrap_or_else(PoisonError::into_inner), event) {
                    _ = writeln!(stderr(), "{line}");
                }
            }
        }
    }

    /// Takes the bars away, so that other lines can be printed.
    pub(crate) fn clear(&self) {
        if let Show::Bars { all, blobs } = &*self.0 {
            blobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
            _ = all.clear();
        }
    }
}

fn draw(all: &MultiProgress, blobs: &mut HashMap<Digest, ProgressBar>, event: Event) {
    match event {
        Event::Resolved { reference, digest } => _ = all.println(format!("{reference} is {digest}")),
        Event::BlobFound { digest, size } => finish(&bar(all, &digest, size), "here"),
        Event::BlobStarted { digest, size } => {
            let bar = bar(all, &digest, size);
            if let Some(before) = blobs.insert(digest, bar) {
                before.finish_and_clear();
            }
        }
        Event::BlobProgress { digest, bytes, .. } => {
            if let Some(bar) = blobs.get(&digest) {
                bar.inc(bytes);
            }
        }
        Event::BlobVerified { digest } => {
            if let Some(bar) = blobs.remove(&digest) {
                finish(&bar, "done");
            }
        }
        _ => {}
    }
}

fn bar(all: &MultiProgress, digest: &Digest, size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    all.add(ProgressBar::new(size).with_style(style.progress_chars("=> ")).with_prefix(short(digest)))
}

fn finish(bar: &ProgressBar, message: &'static str) {
    bar.set_position(bar.length().unwrap_or_default());
    bar.finish_with_message(message);
}

/// A line for what a log should keep; bytes on their way are not in it.
fn line(sizes: &mut HashMap<Digest, u64>, event: Event) -> Option<String> {
    match event {
        Event::Resolved { reference, digest } => Some(format!("{reference} is {digest}")),
        Event::BlobFound { digest, size } => Some(format!("{}  {}  here", short(&digest), HumanBytes(size))),
        Event::BlobStarted { digest, size } => {
            let line = format!("{}  {}  fetching", short(&digest), HumanBytes(size));
            sizes.insert(digest, size);
            Some(line)
        }
        Event::BlobVerified { digest } => {
            let size = sizes.remove(&digest).unwrap_or_default();
            Some(format!("{}  {}  done", short(&digest), HumanBytes(size)))
        }
        _ => None,
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(SHORT).collect()
}
