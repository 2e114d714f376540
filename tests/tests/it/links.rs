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

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_another_platform_is_not_taken_where_links_cannot_be_had_either() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let reference = mock.publish("library/demo", "v1", Image::sample(1));
    let root = dir.path().join("store");
    let work = move || {
        let strace = Strace::of("linkat").always_failing("linkat", "EPERM");
        let arguments = ["pull", "-q", "--platform=linux/arm64", &*reference];
        // Twice, so that what the first one left in the pool is there for the second one.
        [0, 1].map(|_| strace.hoist(&root, &arguments).0)
    };
    for pulled in tokio::task::spawn_blocking(work).await.unwrap() {
        assert_ne!(pulled.code, 0, "an image for amd64 was pulled for arm64: {pulled:?}");
        assert!(pulled.stderr.contains("linux/amd64"), "{}", pulled.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_images_have_copies_of_is_no_garbage_until_the_last_of_them_goes() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let [one, other] = ["v1", "v2"].map(|tag| mock.publish("library/demo", tag, Image::sample(1)));
    let elsewhere = mock.publish("library/elsewhere", "v1", Image::sample(1));
    let root = dir.path().join("store");
    let work = move || {
        let strace = Strace::of("linkat").always_failing("linkat", "EPERM");
        let run = |arguments: &[&str]| strace.hoist(&root, arguments).0.ok().to_owned();
        let pooled = || std::fs::read_dir(root.join("blobs/sha256")).unwrap().count();
        run(&["pull", "-q", PLATFORM, &one]);
        let first = pooled();
        run(&["gc", "--all"]);
        let collected = pooled();
        run(&["pull", "-q", PLATFORM, &other]);
        run(&["pull", "-q", PLATFORM, &elsewhere]);
        run(&["remove", PLATFORM, &one]);
        run(&["remove", PLATFORM, &other]);
        let shared = pooled();
        run(&["remove", PLATFORM, &elsewhere]);
        [first, collected, shared, pooled()]
    };
    let [first, collected, shared, last] = tokio::task::spawn_blocking(work).await.unwrap();
    assert!(first > 0);
    assert_eq!((collected, shared, last), (first, first, 0));
}
