//! `hoist load`: archives as other tools write them.

use hoist_testkit::{Image, assert_valid_layout, write_layout};
use hoist_tests::{hoist, run};
use tempfile::TempDir;

#[test]
fn what_skopeo_writes_is_loaded_and_found_by_its_name() {
    let dir = TempDir::new().unwrap();
    let (layout, archive, root) =
        (dir.path().join("layout"), dir.path().join("image.tar"), dir.path().join("store"));
    let image = Image::sample(1);
    write_layout(&layout, [("v1", &image)]).unwrap();
    let from = format!("oci:{}:v1", layout.display());
    let to = format!("oci-archive:{}:ghcr.io/org/repo:v1", archive.display());
    run("skopeo", &["copy", "--quiet", "--preserve-digests", &from, &to]).ok();

    let path = hoist(&root, &["load", "--platform", "linux/amd64", archive.to_str().unwrap()]);
    assert_valid_layout(path.ok(), &image.digest().to_string());
    let listed = hoist(&root, &["list", "--platform", "linux/amd64"]);
    assert_eq!(listed.ok(), "ghcr.io/org/repo:v1");

    let other = Image::sample(2);
    write_layout(&layout, [("v1", &other)]).unwrap();
    std::fs::remove_file(&archive).unwrap();
    run("skopeo", &["copy", "--quiet", "--preserve-digests", &from, &to]).ok();
    let refused = hoist(&root, &["load", "--platform", "linux/amd64", archive.to_str().unwrap()]);
    assert_eq!(refused.code, 10, "{}", refused.stderr);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);
    let replaced =
        hoist(&root, &["load", "--replace", "--platform", "linux/amd64", archive.to_str().unwrap()]);
    assert_valid_layout(replaced.ok(), &other.digest().to_string());
}
