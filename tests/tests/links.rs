//! A file system that has no hard links: images are whole all the same, have copies, and it is said.

use hoist_testkit::{Image, MockRegistry, assert_valid_layout};
use hoist_tests::{Output, Strace, hoist};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";

#[tokio::test(flavor = "multi_thread")]
async fn where_links_cannot_be_had_an_image_has_copies_and_it_is_said_once() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let image = Image::sample(1);
    let digest = image.digest().to_string();
    let reference = mock.publish("library/demo", "v1", image);
    let root = dir.path().join("store");
    let work = move || {
        let strace = Strace::of("linkat").always_failing("linkat", "EPERM");
        let pulled = strace.hoist(&root, &["pull", "-q", PLATFORM, &reference]).0;
        let after: Vec<Output> = [
            &["gc", "--all"][..],
            &["fsck"],
            &["is-cached", PLATFORM, &reference],
            &["pull", "--force", "-q", PLATFORM, &reference],
        ]
        .map(|arguments| hoist(&root, arguments))
        .into();
        (pulled, after)
    };
    let (pulled, after) = tokio::task::spawn_blocking(work).await.unwrap();
    assert_valid_layout(pulled.ok(), &digest);
    assert_eq!(pulled.stderr.matches("cannot be linked").count(), 1, "{}", pulled.stderr);
    assert!(after.iter().all(|output| output.code == 0), "{after:?}");
    assert_valid_layout(after[3].ok(), &digest);
}
