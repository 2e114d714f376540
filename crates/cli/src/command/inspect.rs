//! Describes an image, from its layout: `hoist inspect`.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use hoist::{Descriptor, Hoist, Layout, Manifest, Platform, PulledImage, Result};
use serde::Serialize;

use super::images;
use crate::output::{self, human};

/// Prints a description of an image, or its configuration as it is.
pub(super) async fn inspect(
    hoist: &Hoist,
    json: bool,
    reference: &str,
    image_config: bool,
) -> Result<ExitCode> {
    let image = images::find(hoist, reference).await?;
    if image_config {
        output::document(&config(&image)?)?;
    } else {
        let report = read(&image)?;
        output::result(json, &report, || report.to_string().into_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The result of `hoist inspect`. Sizes are in bytes, as stored (compressed).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    digest: String,
    path: PathBuf,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    size: u64,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// Reads the one image of a layout.
fn read(image: &PulledImage) -> Result<Report> {
    let (entry, manifest) = Layout::open(&image.path)?.image()?;
    let size = entry.size + manifest.blobs().map(|blob| blob.size).sum::<u64>();
    let Manifest { config, layers, .. } = manifest;
    let PulledImage { path, digest, reference } = image.clone();
    let platform = entry.platform.as_ref().map(Platform::to_string);
    Ok(Report { reference, digest, path, media_type: entry.media_type, platform, size, config, layers })
}

/// The image's configuration, byte for byte.
fn config(image: &PulledImage) -> Result<Vec<u8>> {
    let layout = Layout::open(&image.path)?;
    layout.read(&layout.image()?.1.config)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reference  {}", self.reference)?;
        writeln!(f, "digest     {}", self.digest)?;
        writeln!(f, "path       {}", self.path.display())?;
        writeln!(f, "type       {}", self.media_type)?;
        writeln!(f, "platform   {}", self.platform.as_deref().unwrap_or("none"))?;
        writeln!(f, "size       {}", human::size(self.size))?;
        write!(f, "config     {}", Blob(&self.config))?;
        self.layers.iter().try_for_each(|layer| write!(f, "\nlayer      {}", Blob(layer)))
    }
}

struct Blob<'a>(&'a Descriptor);

impl fmt::Display for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Descriptor { media_type, digest, size, .. } = self.0;
        write!(f, "{digest}  {:>10}  {media_type}", human::size(*size))
    }
}
