//! `hoist save` and `hoist copy`: other tools read what was saved, and each store stands alone.

use std::path::{Path, PathBuf};

use hoist_testkit::{Image, assert_valid_layout, write_layout};
use hoist_tests::{hoist, run};
use tempfile::TempDir;

const NAME: &str = "ghcr.io/org/repo:v1";

/// A store with one image.
struct Home {
    dir: TempDir,
    image: Image,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: TempDir::new().unwrap(), image: Image::sample(1) };
        let (layout, archive) = (home.path("layout"), home.path("source.tar"));
        write_layout(&layout, [("v1", &home.image)]).unwrap();
        let from = format!("oci:{}:v1", layout.display());
        let to = format!("oci-archive:{}:{NAME}", archive.display());
        run("skopeo", &["copy", "--quiet", "--preserve-digests", &from, &to]).ok();
        home.hoist("store", &["load", archive.to_str().unwrap()]).ok();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn hoist(&self, store: &str, arguments: &[&str]) -> hoist_tests::Output {
        hoist(&self.path(store), &[&["--platform", "linux/amd64"], arguments].concat())
    }

    fn save(&self, arguments: &[&str], to: &Path) {
        self.hoist("store", &[&["save", NAME, "-o", to.to_str().unwrap()], arguments].concat()).ok();
    }

    fn skopeo_digest(&self, source: &str) -> String {
        let copy = self.path("copy");
        _ = std::fs::remove_dir_all(&copy);
        let to = format!("oci:{}:x", copy.display());
        run("skopeo", &["copy", "--quiet", "--preserve-digests", source, &to]).ok();
        let shown = run("skopeo", &["inspect", "--format", "{{.Digest}}", &to]);
        shown.ok().trim().to_owned()
    }
}

#[test]
fn skopeo_reads_every_archive_with_the_digest_that_was_saved() {
    let home = Home::new();
    let digest = home.image.digest().to_string();
    // Not the gzipped one: skopeo 1.9 of Debian 12 cannot read its own either.
    for (name, arguments) in [("plain.tar", &[][..]), ("zstd.tar.zst", &["--compress", "zstd"])] {
        let archive = home.path(name);
        home.save(arguments, &archive);
        run("skopeo", &["inspect", &format!("docker-archive:{}", archive.display())]).ok();
    }
    let archive = home.path("plain.tar");
    assert_eq!(home.skopeo_digest(&format!("oci-archive:{}", archive.display())), digest);
    let directory = home.path("out");
    home.save(&["--format", "oci-dir"], &directory);
    assert_eq!(home.skopeo_digest(&format!("oci:{}", directory.display())), digest);
    let docker = home.path("docker.tar");
    home.save(&["--format", "docker-archive"], &docker);
    run("skopeo", &["inspect", &format!("docker-archive:{}", docker.display())]).ok();
}

#[test]
fn podman_loads_an_archive_under_its_name_and_digest() {
    let home = Home::new();
    home.save(&[], &home.path("saved.tar"));
    let podman = |arguments: &[&str]| {
        let (root, run_root) = (home.path("podman"), home.path("run"));
        let places = ["--root", root.to_str().unwrap(), "--runroot", run_root.to_str().unwrap()];
        run("podman", &[&places[..], &["--storage-driver", "vfs"], arguments].concat())
    };
    podman(&["load", "--quiet", "--input", home.path("saved.tar").to_str().unwrap()]).ok();
    let shown = podman(&["image", "inspect", "--format", "{{.Digest}}", NAME]);
    assert_eq!(shown.ok().trim(), home.image.digest().to_string());
}

#[test]
fn umoci_reads_a_saved_directory() {
    let home = Home::new();
    let directory = home.path("out");
    home.save(&["--format", "oci-dir"], &directory);
    let listed = run("umoci", &["ls", "--layout", directory.to_str().unwrap()]);
    assert_eq!(listed.ok().trim(), NAME);
}

#[test]
fn a_copy_stands_alone_and_both_stores_stay_sound() {
    let home = Home::new();
    let copied = home.hoist("store", &["copy", NAME, "--to", home.path("other").to_str().unwrap()]);
    assert_valid_layout(copied.ok(), &home.image.digest().to_string());
    assert_eq!(home.hoist("store", &["remove", NAME]).ok(), NAME);
    home.hoist("store", &["gc", "--all"]).ok();
    for store in ["store", "other"] {
        home.hoist(store, &["fsck"]).ok();
    }
    assert_eq!(home.hoist("other", &["list"]).ok(), NAME);
    assert!(std::fs::read_dir(home.path("store").join("blobs/sha256")).unwrap().next().is_none());
}

#[test]
fn a_failed_save_leaves_the_old_file_and_nothing_beside_it() {
    let home = Home::new();
    let out = TempDir::new().unwrap();
    let file = out.path().join("saved.tar");
    std::fs::write(&file, "old").unwrap();
    let failed = home.hoist("store", &["save", NAME, "ghcr.io/org/absent:v1", "-o", file.to_str().unwrap()]);
    assert_eq!(failed.code, 3, "{}", failed.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let home = Home::new();
    let out = home.path("out");
    for arguments in [
        &["save", NAME, "--format", "oci-dir"][..],
        &["save", NAME, "--format", "oci-dir", "--compress", "gzip", "-o", out.to_str().unwrap()],
        &["copy", NAME, "--to", home.path("store").to_str().unwrap()],
    ] {
        let refused = home.hoist("store", arguments);
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.stderr);
    }
    assert!(!out.exists());
}
