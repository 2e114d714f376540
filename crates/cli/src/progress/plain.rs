//! Progress as lines for a log.

use super::report::{Report, Step};
use crate::output::human::{share, size, time, took};

/// The line of a report, if it belongs in a log. Errors are printed by the command itself.
pub(super) fn line(report: &Report) -> Option<String> {
    let what = match &report.step {
        Step::Begun => begun(report),
        // Only where that takes long: it was not reported when the pull began.
        Step::Resolving if !report.took.is_zero() => "waiting for the registry".to_owned(),
        Step::Fetching => fetching(report),
        Step::Done => done(report),
        Step::Resolving | Step::Hit | Step::Failed(_) | Step::Cancelled => return None,
    };
    Some(format!("{}: {what}", report.name()))
}

fn begun(report: &Report) -> String {
    let digest = report.digest.as_ref().map(|digest| format!(" {digest}")).unwrap_or_default();
    let layers = report.sum.blobs.saturating_sub(1); // all but the configuration
    let plural = if layers == 1 { "" } else { "s" };
    format!("pulling{digest}: {} in {layers} layer{plural}", size(report.sum.total))
}

fn fetching(report: &Report) -> String {
    let rate = report.rate.map(|rate| format!("{}/s", size(rate)));
    let left = report.left().map(|left| format!("{} left", time(left)));
    let parts = [Some(share(report.sum.done, report.sum.total)), rate, left];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn done(report: &Report) -> String {
    let (total, here, fetched) = (size(report.sum.total), report.sum.here, report.fetched());
    if fetched == 0 {
        return format!("done, all {total} were here");
    }
    let was_here = if here > 0 { format!(" ({} were here)", size(here)) } else { String::new() };
    format!("done, {total}{was_here} in {}{}", took(report.took), per_second(report))
}

/// The mean rate of the whole pull.
fn per_second(report: &Report) -> String {
    let millis = report.took.as_millis().max(1);
    let rate = u128::from(report.fetched()) * 1000 / millis;
    u64::try_from(rate).map(|rate| format!(", {}/s", size(rate))).unwrap_or_default()
}
