//! Asks a registry without storing anything: `hoist resolve` and `hoist tags`.

use std::process::ExitCode;

use hoist::{Hoist, ImageEntry, Resolution, Result};
use serde_json::json;

use crate::output::{self, human};

/// Prints the current digest of a reference, and the images that it leads to.
pub(super) async fn resolve(hoist: &Hoist, json: bool, reference: &str) -> Result<ExitCode> {
    let found = hoist.resolve_remote(reference).await?;
    output::result(json, &found, || lines(&found).into_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn lines(found: &Resolution) -> String {
    let Resolution { reference, digest, media_type, images, .. } = found;
    let mut lines = vec![
        format!("reference  {reference}"),
        format!("digest     {digest}"),
        format!("type       {media_type}"),
    ];
    lines.extend(images.iter().map(line));
    lines.join("\n")
}

/// An image, with the size of its content if known.
fn line(image: &ImageEntry) -> String {
    let platform = image.platform.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let size = image.content_size.map(|size| format!("  {}", human::size(size))).unwrap_or_default();
    let platform: String = platform.chars().filter(|c| !c.is_control()).collect();
    format!("image      {}  {platform}{size}", image.digest)
}

/// Prints one tag per line, in the registry's order.
pub(super) async fn tags(hoist: &Hoist, json: bool, repository: &str) -> Result<ExitCode> {
    for tag in hoist.tags(repository).await? {
        output::result(json, &json!({"tag": tag}), || tag.clone().into_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
