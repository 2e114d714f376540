//! A full disk: what is said of it, before anything is fetched and in the middle, and what stays as it was.

use std::path::{Path, PathBuf};

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{Output, Strace, hoist_binary, run};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";
const NO_SPACE: i32 = 11;

fn image(size: usize, seed: u64) -> Image {
    Image::builder().platform("linux/amd64").layer(Layer::random(size, seed)).build()
}

/// Runs a script with a store, `$HOIST_ROOT`, on a file system of 4 MiB that is gone afterwards.
fn on_a_small_disk(dir: &TempDir, script: &str) -> Output {
    let small = dir.path().join("small");
    std::fs::create_dir_all(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=4m tmpfs {}", small.display());
    let root = format!("export HOIST_ROOT={}/store", small.display());
    let hoist = hoist_binary();
    let script = format!("set -e; {mount}; {root}; hoist={}; {script}", hoist.display());
    let output = run("unshare", &["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let help = "unshare (util-linux) must be allowed to mount in a namespace of its own";
    assert!(!output.stderr.contains("unshare:") && !output.stderr.contains("mount:"), "{help}: {output:?}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_too_large_for_the_disk_is_refused_before_a_layer_is_fetched_and_the_old_one_stays() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let small = mock.publish("library/small", "v1", image(1 << 20, 1));
    let large = image(8 << 20, 2);
    let layer = large.layers()[0].digest.clone();
    let large = mock.publish("library/large", "v1", large);
    let script = format!(
        "$hoist pull -q {PLATFORM} {small}; code=0; $hoist pull -q {PLATFORM} {large} || code=$?; \
         $hoist pull -q {PLATFORM} {small}; $hoist fsck; exit $code"
    );
    let output = tokio::task::spawn_blocking(move || (on_a_small_disk(&dir, &script), dir));
    let (output, _dir) = output.await.unwrap();
    assert_eq!(output.code, NO_SPACE, "{output:?}");
    for words in ["the image needs 8.0 MiB more, and ", " MiB are available for ", "--root"] {
        assert!(output.stderr.contains(words), "no {words:?} in {}", output.stderr);
    }
    assert!(output.stdout.ends_with("all is well\n"), "{output:?}");
    assert_eq!(mock.bytes_served(&layer), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_in_the_middle_is_said_to_be_full_and_how_much_is_missing() {
    let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
    let image = image(1 << 20, 1);
    let digest = image.digest().to_string();
    let reference = mock.publish("library/demo", "v1", image);
    let root: PathBuf = dir.path().join("store");
    let pull = move |strace: Option<Strace>, root: &Path| match strace {
        Some(strace) => strace.hoist(root, &["pull", "-q", PLATFORM, &reference]).0,
        None => hoist_tests::hoist(root, &["pull", "-q", PLATFORM, &reference]),
    };
    let work = move || {
        let full = pull(Some(Strace::of("pwrite64").failing("pwrite64", "ENOSPC", 1)), &root);
        (full, pull(None, &root))
    };
    let (full, healed) = tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(full.code, NO_SPACE, "{full:?}");
    assert_eq!(full.stderr.lines().count(), 1, "{full:?}");
    for words in [" more, and ", " are available for ", "--root"] {
        assert!(full.stderr.contains(words), "no {words:?} in {}", full.stderr);
    }
    assert_valid_layout(healed.ok(), &digest);
}
