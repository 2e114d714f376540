//! Metrics: the counters and histograms, and their names. Without the feature `metrics`, this counts nothing.

use std::time::Duration;

/// The result of a pull that succeeded. The result of a failed pull is the kind of its error.
pub(crate) const OK: &str = "ok";
/// The result of a pull that was dropped.
pub(crate) const CANCELLED: &str = "cancelled";

/// Counts a pull that has ended.
#[cfg(not(feature = "metrics"))]
pub(crate) fn count_pull(_method: &'static str, _result: &'static str, _took: Duration) {}

/// Counts a pull that has ended.
#[cfg(feature = "metrics")]
pub(crate) fn count_pull(method: &'static str, result: &'static str, took: Duration) {
    metrics::counter!("hoist_pulls_total", "method" => method, "result" => result).increment(1);
    metrics::histogram!("hoist_pull_duration_seconds", "method" => method, "result" => result).record(took);
}

/// Counts events, and passes them on. Give the result to the registries of a stack, in place of the events.
///
/// Together with [`Observed`](crate::Observed), it records the metrics of hoist, with the crate `metrics`:
///
/// | name | labels | meaning |
/// | --- | --- | --- |
/// | `hoist_pulls_total` | `method`, `result` | calls that have ended: `pull` or `force_pull`, by `ok`, `cancelled`, or the error's kind, such as `not_found` |
/// | `hoist_pull_duration_seconds` | the same | how long each took (a histogram) |
/// | `hoist_cache_hits_total` | | pulls that a cache answered without asking |
/// | `hoist_cache_stale_total` | | pulls that a cache answered because no registry could be reached |
/// | `hoist_blobs_found_total` | | blobs that a pull needed and the store had |
/// | `hoist_blobs_verified_total` | | blobs that were fetched, and had the right digest |
/// | `hoist_blob_bytes_total` | `source`, `name` | bytes of blobs: from a `registry` and its name, a `directory`, or the `store`, for bytes that an earlier pull had left |
/// | `hoist_evictions_total` | | evicted images, if the store [reports](hoist_store::Store::report_to) to this |
/// | `hoist_evicted_bytes_total` | | the disk space that this freed |
#[cfg(feature = "metrics")]
#[must_use]
pub fn counted(events: hoist_core::Events) -> hoist_core::Events {
    hoist_core::Events::to(|event| count(&event)).and(events)
}

#[cfg(feature = "metrics")]
fn count(event: &hoist_core::Event) {
    use hoist_core::Event;
    use metrics::counter;

    match event {
        Event::Hit { .. } => counter!("hoist_cache_hits_total").increment(1),
        Event::ServedStale { .. } => counter!("hoist_cache_stale_total").increment(1),
        Event::BlobFound { .. } => counter!("hoist_blobs_found_total").increment(1),
        Event::BlobVerified { .. } => counter!("hoist_blobs_verified_total").increment(1),
        Event::BlobProgress { bytes, from, .. } => {
            let (source, name) = source(from);
            counter!("hoist_blob_bytes_total", "source" => source, "name" => name).increment(*bytes);
        }
        Event::Evicted { bytes, .. } => {
            counter!("hoist_evictions_total").increment(1);
            counter!("hoist_evicted_bytes_total").increment(*bytes);
        }
        _ => {}
    }
}

/// The kind of a source, and its name.
#[cfg(feature = "metrics")]
fn source(from: &hoist_core::Source) -> (&'static str, String) {
    use hoist_core::Source;

    match from {
        Source::Registry(name) => ("registry", name.to_string()),
        // No name: each image of another store is a directory of its own.
        Source::Directory(_) => ("directory", String::new()),
        Source::Store => ("store", String::new()),
        _ => ("other", String::new()),
    }
}
