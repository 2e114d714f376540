//! What is done with the store as a whole: collecting, checking.

use std::process::ExitCode;

use hoist::{Checked, Collected, FsckOptions, GcOptions, Result, Store};
use indicatif::HumanBytes;
use serde_json::json;

use crate::{exit, output};

pub(crate) fn gc(store: &Store, json: bool, options: GcOptions) -> Result<ExitCode> {
    let Collected { images, blobs, ingests, quarantined, bytes, .. } = store.gc(options)?;
    let report = json!({
        "images": images, "blobs": blobs, "ingests": ingests, "quarantined": quarantined, "bytes": bytes,
        "dryRun": options.dry_run,
    });
    output::result(json, &report, || {
        let verb = if options.dry_run { "would delete" } else { "deleted" };
        let (images, size) = (images.len(), HumanBytes(bytes));
        format!("{verb} {images} images, {blobs} blobs and {ingests} unfinished downloads: {size}")
            .into_bytes()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each finding, and one for the whole.
pub(crate) fn fsck(store: &Store, json: bool, options: FsckOptions) -> Result<ExitCode> {
    let checked = store.fsck(options)?;
    output::result(json, &checked, || lines(&checked).into_bytes())?;
    Ok(if checked.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::DAMAGED) })
}

fn lines(checked: &Checked) -> String {
    let Checked { findings, blobs, bytes, images, refs, .. } = checked;
    let mut lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let size = HumanBytes(*bytes);
    let found = match findings.len() {
        0 => "all is well".to_owned(),
        count if findings.iter().all(|finding| finding.repaired) => format!("{count} problems, repaired"),
        count => format!("{count} problems: `hoist fsck --repair` repairs them"),
    };
    lines.push(format!("checked {blobs} blobs ({size}), {images} images and {refs} names: {found}"));
    lines.join("\n")
}
