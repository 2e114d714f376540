//! Listing the stored images: `hoist list`.

use std::process::ExitCode;

use hoist::{ErrorKind, Hoist, ImageRegistry, PulledImage, Result};
use serde_json::json;

use crate::output;

/// Prints the references of stored images, and then the digests of images without a name.
pub(super) async fn list(hoist: &Hoist, json: bool) -> Result<ExitCode> {
    for reference in hoist.list_cached().await? {
        let image = if json { stored(hoist, &reference).await? } else { None };
        if let Some(image) = image {
            output::result(json, &image, Vec::new)?;
        } else {
            // An image of a directory may not be pulled yet.
            let image = json!({"reference": reference, "digest": null, "path": null});
            output::result(json, &image, || reference.into_bytes())?;
        }
    }
    for digest in hoist.store().unnamed()? {
        let image = json!({"reference": null, "digest": digest, "path": hoist.store().image_path(&digest)});
        output::result(json, &image, || format!("<none>@{digest}").into_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image for listing, which may not be handed out.
async fn stored(hoist: &Hoist, reference: &str) -> Result<Option<PulledImage>> {
    match hoist.resolve(reference).await {
        Err(error) if *error.kind() == ErrorKind::Refused => {
            let known = hoist.store().peek(&reference.parse()?, hoist.platform())?;
            Ok(known.map(Into::into))
        }
        image => image,
    }
}
