//! `hoist resolve` and `hoist tags`: what a registry says, with nothing left behind.

use std::path::PathBuf;
use std::thread;

use hoist::{Durability, ErrorKind, Hoist, ImageRegistry, Resolution};
use hoist_testkit::{Auth, Image, ImageIndex, MockRegistry, write_layout};
use hoist_tests::hoist;
use serde_json::Value;
use tempfile::TempDir;

/// A directory where no store is.
fn nowhere() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("store");
    (dir, root)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn resolve_prints_the_digest_and_the_images_and_stores_nothing() {
    let mock = MockRegistry::start().await;
    let index = ImageIndex::sample(1);
    let reference = mock.publish("demo", "v1", &index);
    let (_dir, root) = nowhere();
    let printed = hoist(&root, &["resolve", &reference, "--platform", "linux/arm64"]);
    let arm64 = index.image("linux/arm64");
    for word in [&reference, &index.digest().to_string(), &format!("{}  linux/arm64  ", arm64.digest())] {
        assert!(printed.ok().contains(word), "no {word} in {}", printed.stdout);
    }
    let found = json(hoist(&root, &["--json", "resolve", &reference, "--platform", "linux/arm64"]).ok());
    assert_eq!(found["digest"], index.digest().to_string());
    assert_eq!(found["images"][0]["platform"], "linux/arm64");
    let content: usize = arm64.blobs().map(|blob| blob.bytes.len()).sum();
    assert_eq!(found["images"][0]["contentSize"], content);
    assert_eq!(found["images"][1]["contentSize"], Value::Null);
    assert!(!root.exists(), "nor is there a store");
}

#[tokio::test]
async fn tags_prints_one_a_line_in_the_registrys_order() {
    let mock = MockRegistry::start().await;
    for tag in ["v2", "v1", "latest"] {
        mock.publish("org/demo", tag, Image::sample(1));
    }
    let (_dir, root) = nowhere();
    let repository = format!("{}/org/demo", mock.host());
    assert_eq!(hoist(&root, &["tags", &repository]).ok(), "latest\nv1\nv2");
    let lines = hoist(&root, &["--json", "tags", &repository]);
    assert_eq!(
        lines.ok().lines().map(|line| json(line)["tag"].clone()).collect::<Vec<_>>(),
        ["latest", "v1", "v2"]
    );
    assert!(!root.exists(), "nor is there a store");
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_told_by_its_exit_code() {
    let mock = MockRegistry::start().await;
    let reference = mock.publish("demo", "v1", Image::sample(1));
    let (dir, root) = nowhere();
    let config = dir.path().join("hoist.toml");
    let images = dir.path().join("images");
    write_layout(&images, [("v1", Image::sample(1))]).unwrap();
    std::fs::write(&config, format!("[remote]\nenabled = false\n[local]\npath = {images:?}\n")).unwrap();
    let config = config.to_str().unwrap();
    let missing = reference.replace(":v1", ":v2");
    for (arguments, code, word) in [
        (vec!["resolve", &missing], 3, "404"),
        (vec!["tags", &reference], 2, "leave out the tag"),
        (vec!["tags", "Not/A/Repository"], 2, "invalid reference"),
        (vec!["resolve", "--platform", "nonsense", &reference], 2, "invalid platform"),
        (vec!["resolve", "127.0.0.1:1/x"], 7, "cannot resolve 127.0.0.1:1/x"),
        (vec!["tags", "--config", config, "nginx"], 2, "`remote.enabled` is false"),
        (vec!["resolve", "--offline", &reference], 7, "`offline` is set"),
    ] {
        let refused = hoist(&root, &arguments);
        assert_eq!(refused.code, code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
    }
    mock.go_down().await;
    assert_eq!(hoist(&root, &["tags", &format!("{}/demo", mock.host())]).code, 7);
    assert!(!root.exists(), "nor is there a store");
}

#[tokio::test]
async fn a_stack_looks_up_over_its_own_connections_for_each_platform() {
    let mock = MockRegistry::start().await;
    let index = ImageIndex::sample(1);
    let reference = mock.publish("demo", "v1", &index);
    mock.require(Auth::AnonymousToken);
    let (_dir, root) = nowhere();
    let builder = Hoist::builder().store(root).durability(Durability::None);
    let hoist = builder.platform("linux/amd64".parse().unwrap()).build().unwrap();
    let arm = hoist.for_platform("linux/arm64".parse().unwrap());
    let sized = |found: Resolution| {
        let ours = found.images.into_iter().find(|image| image.content_size.is_some());
        ours.unwrap().platform.unwrap().to_string()
    };
    hoist.pull(&reference).await.unwrap();
    assert_eq!(sized(hoist.resolve_remote(&reference).await.unwrap()), "linux/amd64");
    assert_eq!(sized(arm.resolve_remote(&reference).await.unwrap()), "linux/arm64");
    assert_eq!(hoist.tags(&format!("{}/demo", mock.host())).await.unwrap(), ["v1"]);
    assert_eq!(mock.counts().token_requests, 1, "the token of the pull is used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocking_front_looks_up_as_well() {
    let mock = MockRegistry::start().await;
    let index = ImageIndex::sample(1);
    let reference = mock.publish("demo", "v1", &index);
    let (_dir, root) = nowhere();
    let repository = format!("{}/demo", mock.host());
    let calls = thread::spawn(move || {
        let hoist = Hoist::builder().store(root).durability(Durability::None).build_blocking().unwrap();
        assert_eq!(hoist.resolve_remote(&reference).unwrap().digest, *index.digest());
        assert_eq!(hoist.tags(&repository).unwrap(), ["v1"]);
        let error = hoist.tags(&reference).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{}", error.report());
        assert_eq!(hoist.list_cached().unwrap(), [""; 0], "nothing was stored");
    });
    calls.join().unwrap();
}

#[tokio::test]
async fn a_windows_version_can_be_asked_for_as_of_containerd() {
    let mock = MockRegistry::start().await;
    let image = Image::builder().platform("windows/amd64").build();
    let reference = mock.publish("demo", "v1", &image);
    let (_dir, root) = nowhere();
    let pulled = hoist(&root, &["pull", "--quiet", "--platform", "windows(10.0.17763)/amd64", &reference]);
    assert!(pulled.ok().contains(&image.digest().hex().to_string()), "{}", pulled.stdout);
    let here = hoist(&root, &["is-cached", "--platform", "windows(10.0.20348)/amd64", &reference]);
    assert_eq!(here.code, 1, "another version is another image");
}
