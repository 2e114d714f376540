//! What an image says of its layers.

use hoist_core::{Descriptor, Digest, Error, ErrorKind, Manifest, Result, json_text};
use hoist_store::Layout;
use serde::Deserialize;

use super::threads::Source;

/// The parts of an image's configuration that say what its layers are
/// ([image-spec, "config"](https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md)).
#[derive(Debug, Deserialize)]
struct Config {
    rootfs: Option<Rootfs>,
}

#[derive(Debug, Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<Digest>>,
}

/// The layers of an image, the lowest first, with the digests of their uncompressed bytes.
///
/// Fails with [`Malformed`](ErrorKind::Malformed) if it has more layers than such digests, or fewer, and with
/// [`Unsupported`](ErrorKind::Unsupported) if it is no image but an artifact.
pub(crate) fn layers(layout: &Layout) -> Result<Vec<Source<Descriptor>>> {
    let (_, manifest) = layout.image()?;
    let config: Config =
        serde_json::from_str(&json_text(&layout.read(&manifest.config)?)).map_err(|cause| {
            let message =
                format!("the image's configuration {} does not list its layers", manifest.config.digest);
            Error::new(ErrorKind::Malformed, message).with_source(cause)
        })?;
    pair(manifest, config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default())
}

fn pair(manifest: Manifest, diff_ids: Vec<Digest>) -> Result<Vec<Source<Descriptor>>> {
    let (layers, digests) = (manifest.layers.len(), diff_ids.len());
    if layers != digests {
        let message = format!("the image has {layers} layers, and its configuration lists {digests}");
        return Err(Error::new(ErrorKind::Malformed, message).with_help("its maker has to build it again"));
    }
    let layers = manifest.layers.into_iter().zip(diff_ids);
    Ok(layers.map(|(blob, diff_id)| Source { blob, diff_id }).collect())
}
