//! Describes an image, from its layout.

use std::fmt;
use std::path::PathBuf;

use hoist::{Descriptor, Document, Error, ErrorKind, Layout, Manifest, Platform, PulledImage, Result};
use indicatif::HumanBytes;
use serde::Serialize;

/// The result of `hoist inspect`. Sizes are in bytes, as stored (compressed).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
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
pub(crate) fn read(image: &PulledImage) -> Result<Report> {
    let (_, entry, manifest) = open(image)?;
    let size = entry.size + manifest.blobs().map(|blob| blob.size).sum::<u64>();
    let Manifest { config, layers, .. } = manifest;
    let PulledImage { path, digest, reference } = image.clone();
    let platform = entry.platform.as_ref().map(Platform::to_string);
    Ok(Report { reference, digest, path, media_type: entry.media_type, platform, size, config, layers })
}

/// The image's configuration, byte for byte.
pub(crate) fn config(image: &PulledImage) -> Result<Vec<u8>> {
    let (layout, _, manifest) = open(image)?;
    layout.read(&manifest.config)
}

fn open(image: &PulledImage) -> Result<(Layout, Descriptor, Manifest)> {
    let layout = Layout::open(&image.path)?;
    let entry = layout.entries()?.into_iter().next().ok_or_else(|| malformed(image))?;
    match Document::parse(&layout.read(&entry)?, Some(&entry.media_type))? {
        Document::Manifest(manifest) => Ok((layout, entry, manifest)),
        _ => Err(malformed(image)),
    }
}

fn malformed(image: &PulledImage) -> Error {
    Error::new(ErrorKind::Malformed, format!("{} is not a layout of one image", image.path.display()))
        .with_help("pull it again with --force")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reference  {}", self.reference)?;
        writeln!(f, "digest     {}", self.digest)?;
        writeln!(f, "path       {}", self.path.display())?;
        writeln!(f, "type       {}", self.media_type)?;
        writeln!(f, "platform   {}", self.platform.as_deref().unwrap_or("none"))?;
        writeln!(f, "size       {}", HumanBytes(self.size))?;
        write!(f, "config     {}", Blob(&self.config))?;
        self.layers.iter().try_for_each(|layer| write!(f, "\nlayer      {}", Blob(layer)))
    }
}

struct Blob<'a>(&'a Descriptor);

impl fmt::Display for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Descriptor { media_type, digest, size, .. } = self.0;
        write!(f, "{digest}  {:>10}  {media_type}", HumanBytes(*size).to_string())
    }
}
