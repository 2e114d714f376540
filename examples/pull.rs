//! The least: a store, a registry, an image, and what is in its layout.

use hoist::{Config, ImageRegistry, Result};
use hoist_testkit::{Image, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    // Yours would be "nginx" or "ghcr.io/org/repo:v1".
    let registry = MockRegistry::start().await;
    let reference = registry.publish("library/demo", "v1", Image::sample(1));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");

    let config =
        Config::default().with_root(directory.path().join("store")).with_platform("linux/amd64".parse()?); // the default is this machine's
    let hoist = hoist::open(&config)?;

    let image = hoist.pull(&reference).await?;
    println!("pulled {}", image.reference);
    println!("digest {}", image.digest);
    for name in ["oci-layout", "index.json", "blobs/sha256"] {
        println!("{name}: {}", if image.path.join(name).exists() { "there" } else { "missing" });
    }
    Ok(())
}
