//! The caching decorator: it wraps any registry, and answers by reference without asking it again.

use std::sync::Arc;

use hoist_cache::Cached;
use hoist_core::{Event, Events, ImageRegistry, Result};
use hoist_remote::RemoteRegistry;
use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Image, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    let registry = MockRegistry::start().await;
    let reference = registry.publish("library/demo", "v1", Image::sample(1));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::open(directory.path().join("store"), StoreOptions::default())?;

    // One store for the whole stack: what the remote registry pulls, the cache has.
    let platform: hoist_core::Platform = "linux/amd64".parse()?;
    let remote =
        RemoteRegistry::new(store.clone()).with_platform(platform.clone()).with_events(Events::to(|event| {
            if let Event::Started { reference, .. } = event {
                println!("the registry is asked for {}", reference.repository());
            }
        }));
    let cached: Arc<dyn ImageRegistry> = Arc::new(Cached::new(remote, store).with_platform(platform));

    println!("first pull");
    cached.pull(&reference).await?;
    println!("second pull");
    cached.pull(&reference).await?;

    registry.go_down().await;
    println!("the registry is down");
    cached.pull(&reference).await?;
    println!("third pull: answered all the same");
    let error = cached.force_pull(&reference).await.expect_err("nobody is there");
    println!("forced pull: {:?}", error.kind());
    println!("still cached: {}", cached.is_cached(&reference).await);
    Ok(())
}
