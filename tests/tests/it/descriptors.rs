//! A low limit of open files: pulls take longer there, and do not fail.

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{hoist_binary, run};
use tempfile::TempDir;

const LAYERS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_many_layers_is_pulled_with_64_open_files() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let image = Image::builder()
        .platform("linux/amd64")
        .layers((0..LAYERS).map(|seed| Layer::random(10_000, seed)))
        .build();
    let digest = image.digest().to_string();
    let reference = mock.publish("library/demo", "v1", image);
    let root = dir.path().join("store");
    let work = move || {
        let hoist = hoist_binary();
        let script = "ulimit -n 64; exec \"$@\"";
        let [hoist, root] = [&hoist, &root].map(|path| path.to_str().expect("plain names"));
        let pull = ["pull", "-q", "--platform=linux/amd64", &*reference];
        run("sh", &[&["-c", script, "sh", hoist, "--root", root][..], &pull].concat())
    };
    let pulled = tokio::task::spawn_blocking(work).await.unwrap();
    assert_valid_layout(pulled.ok(), &digest);
}
