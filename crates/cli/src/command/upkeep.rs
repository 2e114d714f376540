//! Maintenance of the whole store, if there is one: collecting, measuring, checking.

use std::process::ExitCode;

use hoist::{Checked, Collected, Digest, FsckOptions, GcOptions, Reference, Result, Store, Usage};

use crate::exit;
use crate::output::{self, human};

/// Prints what was deleted: the names of each evicted image, and the total.
pub(super) fn gc(store: Option<&Store>, json: bool, options: &GcOptions) -> Result<ExitCode> {
    let collected = store.map_or_else(|| Ok(Collected::default()), |store| store.gc(options.clone()))?;
    output::result(json, &collected, || gc_lines(&collected, options).into_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn gc_lines(collected: &Collected, options: &GcOptions) -> String {
    let Collected { images, evicted, blobs, ingests, derived, bytes, held, .. } = collected;
    let verb = if options.dry_run { "would delete" } else { "deleted" };
    let mut lines: Vec<String> = Vec::new();
    for image in evicted {
        lines.push(format!("{verb} {}", names(&image.references, &image.digest)));
    }
    let (images, size) = (images.len() + evicted.len(), human::size(*bytes));
    lines.push(format!("{verb} {images} images, {blobs} blobs and {ingests} unfinished downloads: {size}"));
    if *derived > 0 {
        lines.push(format!("{verb} the derived content of {derived} images"));
    }
    if let (Some(held), Some(limit)) = (held, options.max_size)
        && *held > limit
    {
        let (held, limit) = (human::size(*held), human::size(limit));
        lines.push(format!("the store still has {held}, more than {limit}: the remaining images are in use"));
    }
    lines.join("\n")
}

/// An image's names, or else `<none>` with its digest.
fn names(references: &[Reference], digest: &Digest) -> String {
    match references {
        [] => format!("<none>@{digest}"),
        names => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// Prints one line for each image, and one for the whole store.
pub(super) fn usage(store: Option<&Store>, json: bool) -> Result<ExitCode> {
    let usage = store.map_or_else(|| Ok(Usage::default()), Store::usage)?;
    output::result(json, &usage, || usage_lines(&usage).into_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn usage_lines(usage: &Usage) -> String {
    let line = |total, own, what: &str| format!("{total:>12}  {own:>12}  {what}");
    let size = |bytes| human::size(bytes);
    let mut lines = vec![line("all".to_owned(), "its own".to_owned(), "image")];
    let images = usage.images.iter();
    lines.extend(
        images
            .map(|image| line(size(image.total), size(image.own), &names(&image.references, &image.digest))),
    );
    let Usage { pool, unused, derived, ingests, quarantine, staging, .. } = usage;
    lines.push(format!(
        "{} in all: {} of blobs, {} of them without an image; {} made from images; {} of unfinished downloads, \
         {} in staging, {} in quarantine",
        human::size(usage.total()),
        human::size(*pool),
        human::size(*unused),
        human::size(*derived),
        human::size(*ingests),
        human::size(*staging),
        human::size(*quarantine)
    ));
    lines.join("\n")
}

/// Prints one line for each finding, and one for the whole store.
pub(super) fn fsck(store: Option<&Store>, json: bool, options: &FsckOptions) -> Result<ExitCode> {
    let checked = store.map_or_else(|| Ok(Checked::default()), |store| store.fsck(options))?;
    output::result(json, &checked, || lines(&checked).into_bytes())?;
    Ok(if checked.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::DAMAGED) })
}

fn lines(checked: &Checked) -> String {
    let Checked { findings, blobs, bytes, images, refs, .. } = checked;
    let mut lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let size = human::size(*bytes);
    let found = match findings.len() {
        0 => "all is well".to_owned(),
        count if findings.iter().all(|finding| finding.repaired) => format!("{count} problems, repaired"),
        count => format!("{count} problems: `hoist fsck --repair` repairs them"),
    };
    lines.push(format!("checked {blobs} blobs ({size}), {images} images and {refs} names: {found}"));
    lines.join("\n")
}
