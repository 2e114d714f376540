//! A low limit of open files: pulls take longer there, and do not fail.

use std::path::Path;

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{Output, hoist_binary, run};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";

/// Runs `hoist` where it may open so many files.
fn hoist_with_limit(limit: u32, root: &Path, arguments: &[&str]) -> Output {
    let (hoist, script) = (hoist_binary(), format!("ulimit -n {limit}; exec \"$@\""));
    let [hoist, root] = [&hoist, root].map(|path| path.to_str().expect("plain names"));
    run("sh", &[&["-c", &script, "sh", hoist, "--root", root][..], arguments].concat())
}

fn image(layers: u64, seed: u64) -> Image {
    let layers = (0..layers).map(|layer| Layer::random(2_000, seed * layers + layer));
    Image::builder().platform("linux/amd64").layers(layers).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_images_of_150_layers_are_pulled_and_checked_with_few_open_files() {
    let mock = MockRegistry::start().await;
    let images = [0, 1, 2].map(|seed| image(150, seed));
    let digests = images.each_ref().map(|image| image.digest().to_string());
    let mut number = 0;
    let references = images.map(|image| {
        number += 1;
        mock.publish("library/demo", &format!("v{number}"), image)
    });
    for limit in [64, 128, 256] {
        let (dir, references) = (TempDir::new().unwrap(), references.clone());
        let work = move || {
            let references = references.each_ref().map(String::as_str);
            let run = |command: &[&str]| {
                let output = hoist_with_limit(limit, dir.path(), command);
                assert_eq!(output.stderr, "", "{limit}");
                output.ok().to_owned()
            };
            let pulled = [&["pull", "-q", PLATFORM][..], &["pull", "-q", "--force", PLATFORM]]
                .map(|pull| run(&[pull, &references[..]].concat()));
            run(&["fsck"]);
            (pulled, dir)
        };
        let (pulled, _dir) = tokio::task::spawn_blocking(work).await.unwrap();
        for paths in pulled {
            paths.lines().zip(&digests).for_each(|(path, digest)| assert_valid_layout(path, digest));
        }
    }
}
