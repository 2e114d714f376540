//! Whether an image is stored: `hoist is-cached`, and the error of all commands that need one.

use std::process::ExitCode;

use hoist::{Digest, Error, ErrorKind, Hoist, ImageRegistry, PulledImage, Reference, Result};
use serde_json::json;

use crate::output;

/// Answers with the exit code whether an image is cached.
pub(super) async fn is_cached(hoist: &Hoist, json: bool, reference: &str) -> Result<ExitCode> {
    let is_here = match hoist.resolve(reference).await {
        // An image that may not be handed out is cached all the same.
        Err(error) if *error.kind() == ErrorKind::Refused => hoist.is_cached(reference).await,
        // A directory has its images even if none of them was pulled yet.
        image => image?.is_some() || hoist.is_cached(reference).await,
    };
    print_cached(json, reference, is_here)
}

/// Prints the answer of `is-cached`.
pub(super) fn print_cached(json: bool, reference: &str, is_cached: bool) -> Result<ExitCode> {
    if json {
        let answer = json!({"reference": qualified(reference), "cached": is_cached});
        output::result(true, &answer, Vec::new)?;
    }
    Ok(if is_cached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A stored image.
pub(super) async fn find(hoist: &Hoist, reference: &str) -> Result<PulledImage> {
    hoist.resolve(reference).await?.ok_or_else(|| not_here(reference))
}

/// The error for an image that is not stored.
pub(super) fn not_here(reference: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{} is not here", qualified(reference)))
        .with_help("`hoist list` shows the stored images")
}

fn qualified(reference: &str) -> String {
    if reference.parse::<Digest>().is_ok() {
        return reference.to_owned();
    }
    reference.parse::<Reference>().map_or_else(|_| reference.to_owned(), |parsed| parsed.to_string())
}
