//! Progress: every step of a pull as an event, for a bar, a page or a log.

use std::sync::{Arc, Mutex};

use hoist::{Config, Event, Events, ImageRegistry, Result};
use hoist_testkit::{Image, Layer, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    let registry = MockRegistry::start().await;
    let image = Image::builder().platform("linux/amd64").layer(Layer::random(5 << 20, 1)).build();
    let reference = registry.publish("library/demo", "v1", image);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config =
        Config::default().with_root(directory.path().join("store")).with_platform("linux/amd64".parse()?);

    // The function must return at once, so it only counts; yours may send the event on.
    let received = Arc::new(Mutex::new(0));
    let count = received.clone();
    let events = Events::to(move |event| match event {
        Event::Resolved { digest, .. } => println!("resolved to {digest}"),
        Event::BlobStarted { size, .. } => println!("fetching a blob of {size} bytes"),
        Event::BlobFound { size, .. } => println!("a blob of {size} bytes is here already"),
        Event::BlobProgress { bytes, .. } => *count.lock().expect("nobody panics with it") += bytes,
        Event::BlobVerified { .. } => println!("a blob is whole, and has the right digest"),
        Event::Committed { .. } => println!("the image is in the store"),
        _ => {}
    });
    let hoist = hoist::open_with_events(&config, events)?;

    hoist.pull(&reference).await?;
    println!("received {} bytes", received.lock().expect("nobody panics with it"));
    println!("again, with everything checked:");
    hoist.force_pull(&reference).await?;
    Ok(())
}
