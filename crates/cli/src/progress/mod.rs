//! The progress of pulls, on stderr. Events change a [`State`](state::State); what is shown is made of its reports.

mod frame;
mod json;
mod plain;
mod rate;
mod report;
mod state;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hoist::{Event, Events};

use crate::output;
use crate::output::screen::{self, Size};
use crate::output::style;
use report::{Report, Step};
use state::State;

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Style {
    /// Bars on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// Bars that are drawn again and again
    #[value(alias = "tty")]
    Bar,
    /// A line for each image at the beginning, every few seconds, and at the end
    Plain,
    /// The same as JSON, one object per line
    #[value(alias = "rawjson")]
    Json,
    /// Nothing
    #[value(alias = "quiet")]
    None,
}

impl Style {
    /// What to show, and how often at most while nothing begins or ends; `None`: nothing.
    fn show(self) -> Option<(Show, Duration)> {
        match self {
            Self::Auto
                if stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb") =>
            {
                Self::Bar.show()
            }
            Self::Auto => Self::Plain.show(),
            Self::Bar => Some((Show::Bar, Duration::from_millis(100))),
            Self::Plain => Some((Show::Plain, Duration::from_secs(5))),
            Self::Json => Some((Show::Json, Duration::from_secs(1))),
            Self::None => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Show {
    Bar,
    Plain,
    Json,
}

/// Shows the progress of pulls until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    show: Show,
    inner: Mutex<Inner>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    has_ended: bool,
}

impl Progress {
    /// Starts to show progress; `None`: there is nothing to show it.
    pub(crate) fn start(style: Style) -> Option<Self> {
        let (show, interval) = style.show()?;
        let shared = Arc::new(Shared { show, inner: Mutex::default(), ended: Condvar::new() });
        let ticking = shared.clone();
        let ticker = std::thread::Builder::new().name("progress".to_owned());
        // Without the thread, the beginnings and the ends are still shown.
        let ticker = ticker.spawn(move || ticking.tick(interval)).ok();
        Some(Self { shared, ticker })
    }

    /// The sink for the events of the pulls.
    pub(crate) fn events(&self) -> Events {
        let shared = self.shared.clone();
        Events::to(move |event| shared.apply(event))
    }

    /// The number of bytes that were fetched so far, of all images.
    pub(crate) fn fetched(&self) -> u64 {
        self.shared.lock().state.fetched()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.ended.notify_all();
        if let Some(ticker) = self.ticker.take() {
            _ = ticker.join();
        }
        if let Show::Bar = self.shared.show {
            screen::clear();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event, and shows it if a pull has begun or ended.
    fn apply(&self, event: Event) {
        let report = self.lock().state.apply(event, Instant::now());
        if let Some(report) = report {
            self.tell(&report);
        }
    }

    fn tell(&self, report: &Report) {
        let line = match self.show {
            // The frame shows the rest, and is gone at the end.
            Show::Bar if report.step != Step::Done => None,
            Show::Bar | Show::Plain => plain::line(report),
            Show::Json => Some(json::line(report)),
        };
        if let Some(line) = line {
            output::note(&line);
        }
    }

    /// Shows what is running, at this interval.
    fn tick(&self, interval: Duration) {
        let mut inner = self.lock();
        while !inner.has_ended {
            let waited = self.ended.wait_timeout_while(inner, interval, |inner| !inner.has_ended);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            if inner.has_ended {
                return;
            }
            let reports = inner.state.reports(Instant::now());
            drop(inner);
            match self.show {
                Show::Bar => screen::draw(frame::frame(&reports, Size::of_stderr(), style::on_stderr())),
                Show::Plain | Show::Json => reports.iter().for_each(|report| self.tell(report)),
            }
            inner = self.lock();
        }
    }
}
