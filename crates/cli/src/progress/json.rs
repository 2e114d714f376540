//! Progress as JSON, one object per line.

use serde_json::json;

use super::report::{Report, Step};

/// The object of a report.
pub(super) fn line(report: &Report) -> String {
    let (status, error) = match &report.step {
        Step::Resolving => ("resolving", None),
        Step::Begun => ("resolved", None),
        Step::Fetching => ("fetching", None),
        Step::Hit => ("cached", None),
        Step::Done => ("done", None),
        Step::Failed(kind) => ("failed", Some(kind.as_str())),
        Step::Cancelled => ("cancelled", None),
    };
    let mut object = json!({
        "reference": report.reference,
        "platform": report.platform.to_string(),
        "status": status,
        "digest": report.digest,
        "bytes": report.sum.done,
        "totalBytes": report.sum.total,
        "presentBytes": report.sum.here,
        "blobs": report.sum.blobs_done,
        "totalBlobs": report.sum.blobs,
        "bytesPerSecond": report.rate,
        "milliseconds": u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    });
    if let Some(error) = error {
        object["error"] = error.into();
    }
    object.to_string()
}
