//! Images in a store, as a pull would have left them there: made without a network.

use hoist_core::{Descriptor, Events, Result};
use hoist_store::{Store, Verify, WriteQueue};

use crate::image::{Blob, Image};

/// Adds an image to a store, for its own platform and under this name. What the store had under the name before loses
/// it.
pub async fn add_to_store(store: &Store, name: &str, image: &Image) -> Result<()> {
    let staging = store.stage(Verify::Cached)?;
    let manifest = descriptor(image.manifest());
    staging.put(&manifest, image.manifest().bytes.to_vec()).await?;
    for blob in image.blobs() {
        let write = |queue: WriteQueue, _| async move { queue.write(0, blob.bytes.clone()).await };
        staging.fetch(&descriptor(blob), &Events::default(), write).await?;
    }
    let lease = staging.commit(manifest).await?;
    store.name(&name.parse()?, image.platform(), &lease, None).map(drop)
}

fn descriptor(blob: &Blob) -> Descriptor {
    Descriptor::of(&blob.media_type, &blob.bytes)
}
