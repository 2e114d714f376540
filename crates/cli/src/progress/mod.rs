//! Progress on stderr: a bar for each layer on a terminal, and plain lines elsewhere.

use std::collections::HashMap;
use std::io::{Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use hoist::{Digest, Event};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

/// How many hexadecimal digits of a digest to show, the same as docker.
const SHORT: usize = 12;
const BAR: &str = "{prefix}  {bar:30}  {bytes:>10} of {total_bytes:<10}  {bytes_per_sec:>12}  {msg}";

/// Shows the progress of pulls. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Show>);

#[derive(Debug)]
enum Show {
    Bars { all: MultiProgress, bars: Mutex<Bars> },
    Lines { sizes: Mutex<HashMap<Digest, u64>> },
}

#[derive(Debug, Default)]
struct Bars {
    /// The bars of blobs being fetched.
    running: HashMap<Digest, ProgressBar>,
    finished: Vec<ProgressBar>,
}

impl Progress {
    /// Shows bars if `bars` is set, and lines otherwise.
    pub(crate) fn new(bars: bool) -> Self {
        Self(Arc::new(if bars {
            Show::Bars { all: MultiProgress::new(), bars: Mutex::default() }
        } else {
            Show::Lines { sizes: Mutex::default() }
        }))
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: Event) {
        match &*self.0 {
            Show::Bars { all, bars } => {
                draw(all, &mut bars.lock().unwrap_or_else(PoisonError::into_inner), event);
            }
            Show::Lines { sizes } => {
                if let Some(line) = line(&mut sizes.lock().unwrap_or_else(PoisonError::into_inner), event) {
                    _ = writeln!(stderr(), "{line}");
                }
            }
        }
    }

    /// Prints other lines above the bars of running downloads. Removes the bars of finished ones.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        let Show::Bars { all, bars } = &*self.0 else { return print() };
        let finished = std::mem::take(&mut bars.lock().unwrap_or_else(PoisonError::into_inner).finished);
        for bar in &finished {
            all.remove(bar);
        }
        all.suspend(print)
    }

    /// Removes all bars.
    pub(crate) fn clear(&self) {
        if let Show::Bars { all, bars } = &*self.0 {
            *bars.lock().unwrap_or_else(PoisonError::into_inner) = Bars::default();
            _ = all.clear();
        }
    }
}

fn draw(all: &MultiProgress, bars: &mut Bars, event: Event) {
    match event {
        Event::Resolved { reference, digest, .. } => _ = all.println(format!("{reference} is {digest}")),
        Event::BlobFound { digest, size, .. } => bars.finish(bar(all, &digest, size), "here"),
        Event::BlobStarted { digest, size, .. } => {
            let bar = bar(all, &digest, size);
            if let Some(before) = bars.running.insert(digest, bar) {
                before.finish_and_clear();
            }
        }
        Event::BlobProgress { digest, bytes, .. } => {
            if let Some(bar) = bars.running.get(&digest) {
                bar.inc(bytes);
            }
        }
        Event::BlobVerified { digest, .. } => {
            if let Some(bar) = bars.running.remove(&digest) {
                bars.finish(bar, "done");
            }
        }
        _ => {}
    }
}

impl Bars {
    fn finish(&mut self, bar: ProgressBar, message: &'static str) {
        bar.set_position(bar.length().unwrap_or_default());
        bar.finish_with_message(message);
        self.finished.push(bar);
    }
}

fn bar(all: &MultiProgress, digest: &Digest, size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    all.add(ProgressBar::new(size).with_style(style.progress_chars("=> ")).with_prefix(short(digest)))
}

/// The line of an event that belongs in a log. Downloaded bytes do not.
fn line(sizes: &mut HashMap<Digest, u64>, event: Event) -> Option<String> {
    match event {
        Event::Resolved { reference, digest, .. } => Some(format!("{reference} is {digest}")),
        Event::BlobFound { digest, size, .. } => {
            Some(format!("{}  {}  here", short(&digest), HumanBytes(size)))
        }
        Event::BlobStarted { digest, size, .. } => {
            let line = format!("{}  {}  fetching", short(&digest), HumanBytes(size));
            sizes.insert(digest, size);
            Some(line)
        }
        Event::BlobVerified { digest, .. } => {
            let size = sizes.remove(&digest).unwrap_or_default();
            Some(format!("{}  {}  done", short(&digest), HumanBytes(size)))
        }
        _ => None,
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(SHORT).collect()
}
