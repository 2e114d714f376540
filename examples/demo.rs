//! The main job on any machine: a cold pull, a cached one, list and remove. The registry is a mocked one
//! in this process, so that no network is needed.

use std::time::Instant;

use hoist::{Config, ImageRegistry, Result};
use hoist_testkit::{Image, ImageIndex, Layer, MockRegistry};

/// A layer's size, large enough to take a moment.
const LAYER: usize = 8 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let registry = MockRegistry::start().await;
    let images = ["linux/amd64", "linux/arm64"].map(|platform| {
        Image::builder().platform(platform).layers((0..4).map(|seed| Layer::random(LAYER, seed))).build()
    });
    let reference = registry.publish("library/demo", "v1", ImageIndex::new(images));

    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let hoist = hoist::open(&Config::default().with_root(directory.path().join("store")))?;
    println!("stack    {hoist}");

    let start = Instant::now();
    let image = hoist.pull(&reference).await?;
    println!("cold     {} in {:.1?}", image.reference, start.elapsed());
    println!("         {}", image.digest);
    println!("         {}", image.path.display());

    let start = Instant::now();
    hoist.pull(&reference).await?;
    println!("cached   the same in {:.1?}; asked of the registry: nothing", start.elapsed());

    println!("list     {}", hoist.list_cached().await?.join(" "));
    println!("remove   {}", hoist.remove(&reference).await?);
    println!("list     {} images", hoist.list_cached().await?.len());
    Ok(())
}
