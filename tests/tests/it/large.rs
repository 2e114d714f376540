//! An image of 1 GiB, pulled by the command: whole, and in little memory.
//!
//! Needs `docker-registry` and GNU `time`; `.ci/run test` installs them.

use hoist_testkit::{Image, Layer, assert_valid_layout, push};
use hoist_tests::{Registry, hoist_binary, run};
use tempfile::TempDir;

const LAYER: usize = 1 << 30;
const MOST_MEMORY: u64 = 64 << 10; // in KiB

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_1_gib_is_pulled_in_less_than_64_mib_of_memory() {
    let registry = Registry::start();
    let image = Image::builder().platform("linux/amd64").layer(Layer::random(LAYER, 1)).build();
    let reference = push(registry.host(), "library/demo", "large", image.clone()).await;
    let dir = TempDir::new().unwrap();
    let (root, hoist) = (dir.path().join("store"), hoist_binary());
    // The kernel counts a process's parent too, until it runs its own program; so a small one has to start it.
    let (root, hoist) = (root.to_str().unwrap(), hoist.to_str().unwrap());
    let pull = ["pull", "--quiet", "--platform=linux/amd64", &reference];
    let pulled = run("/usr/bin/time", &[&["--format=%M", hoist, "--root", root], &pull[..]].concat());
    assert_valid_layout(pulled.ok(), &image.digest().to_string());
    let memory: u64 = pulled.stderr.trim().parse().unwrap();
    assert!(memory < MOST_MEMORY, "the pull needed {memory} KiB");
    eprintln!("the pull needed {memory} KiB");
}
