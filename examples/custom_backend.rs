//! A backend of one's own: images that come by a protocol which hoist does not know. The store hashes what
//! it is given, so that even the shortest backend cannot put wrong bytes on the disk; and it can be wrapped
//! like any other.

use std::collections::HashMap;

use hoist_cache::Cached;
use hoist_core::{Descriptor, Error, ErrorKind, ImageRegistry, Platform, PulledImage, Reference, Result};
use hoist_store::{Claim, Store, StoreOptions, Trust};
use hoist_testkit::{Blob, Image};

/// A registry whose "protocol" is a map in memory; yours might be a message queue, or a tape robot.
struct Memory {
    images: HashMap<String, Image>,
    store: Store,
    platform: Platform,
}

impl Memory {
    async fn fetch(&self, name: &str, trust: Trust) -> Result<PulledImage> {
        let reference: Reference = name.parse()?;
        let image = self.images.get(&reference.to_string());
        let image =
            image.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no {reference} in memory")))?;
        let staging = self.store.stage(trust)?;
        for blob in image.blobs() {
            if let Claim::Fetch(ingest) = staging.claim(&describe(blob)).await? {
                ingest.write(0, blob.bytes.clone()).await?;
                ingest.commit().await?; // checks size and digest
            }
        }
        let manifest = describe(image.manifest());
        staging.put(&manifest, image.manifest().bytes.to_vec()).await?;
        let lease = staging.commit(manifest).await?;
        Ok(self.store.name(&reference, &self.platform, &lease, None)?.into())
    }
}

fn describe(blob: &Blob) -> Descriptor {
    Descriptor::of(&blob.media_type, &blob.bytes)
}

#[async_trait::async_trait]
impl ImageRegistry for Memory {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.fetch(reference, Trust::Pool).await
    }
    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.fetch(reference, Trust::Nothing).await
    }
    async fn is_cached(&self, reference: &str) -> bool {
        let found = reference.parse().and_then(|r| self.store.resolve(&r, &self.platform));
        found.is_ok_and(|image| image.is_some())
    }
    async fn remove(&self, reference: &str) -> Result<bool> {
        self.store.remove(&reference.parse()?, &self.platform)
    }
    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(self.store.list(&self.platform)?.iter().map(ToString::to_string).collect())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::open(directory.path().join("store"), StoreOptions::default())?;
    let platform: Platform = "linux/amd64".parse()?;
    let images = HashMap::from([("docker.io/library/demo:v1".to_owned(), Image::sample(1))]);
    let memory = Memory { images, store: store.clone(), platform: platform.clone() };
    let registry = Cached::new(memory, store).with_platform(platform);

    println!("pulled {}", registry.pull("demo:v1").await?.reference);
    println!("cached {}", registry.is_cached("demo:v1").await);
    println!("unknown: {}", registry.pull("demo:v2").await.expect_err("it is not there").report());
    Ok(())
}
