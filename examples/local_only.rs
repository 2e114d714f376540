//! A directory only, as on a host without a network: an OCI layout that another tool wrote, with two named
//! images in it. No socket is opened.

use hoist::{Config, ImageRegistry, Result};
use hoist_testkit::{Image, write_layout};

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let layout = directory.path().join("images");
    let named =
        [("docker.io/library/web:v1", Image::sample(1)), ("docker.io/library/db:v1", Image::sample(2))];
    write_layout(&layout, named).expect("the layout can be written");

    let config = Config::default()
        .with_root(directory.path().join("store"))
        .with_platform("linux/amd64".parse()?)
        .with_local(&layout)
        .without_remote();
    let hoist = hoist::open(&config)?;

    let web = hoist.pull("web:v1").await?;
    println!("pulled {}", web.reference);
    println!("a layout of its own: {}", web.path.starts_with(directory.path().join("store")));
    let missing = hoist.pull("cache:v1").await.expect_err("it is not in the directory");
    println!("cache:v1 is {:?}", missing.kind());
    Ok(())
}
