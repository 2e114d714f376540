//! `hoist load`: archives as other tools write them.

use std::path::PathBuf;

use hoist_testkit::{Image, assert_valid_layout, write_layout};
use hoist_tests::{Output, hoist, hoist_binary, run};
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

/// An archive as skopeo writes it, and what shell commands make of it.
struct Piped {
    dir: TempDir,
    digest: String,
}

impl Piped {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (layout, archive) = (dir.path().join("layout"), dir.path().join("image.tar"));
        let image = Image::sample(1);
        write_layout(&layout, [("v1", &image)]).unwrap();
        let from = format!("oci:{}:v1", layout.display());
        let to = format!("oci-archive:{}:ghcr.io/org/repo:v1", archive.display());
        run("skopeo", &["copy", "--quiet", "--preserve-digests", &from, &to]).ok();
        Self { dir, digest: image.digest().to_string() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Runs a line of the shell's where the archive is.
    fn run(&self, line: &str) -> Output {
        let hoist = format!("{} --platform=linux/amd64 --root=store", hoist_binary().display());
        let line = format!("cd '{}' && {}", self.dir.path().display(), line.replace("hoist", &hoist));
        run("sh", &["-c", &line])
    }

    fn is_loaded(&self, output: &Output) {
        assert_valid_layout(self.dir.path().join(output.ok()), &self.digest);
        let listed = hoist(&self.root(), &["list", "--platform", "linux/amd64"]);
        assert_eq!(listed.ok(), "ghcr.io/org/repo:v1");
    }
}

#[test]
fn an_archive_is_read_from_a_pipe() {
    for line in [
        "cat image.tar | hoist load -",
        "hoist load - < image.tar",
        "mkfifo pipe && { cat image.tar > pipe & } && hoist load pipe",
        "cat image.tar | hoist load /dev/stdin",
    ] {
        let piped = Piped::new();
        piped.is_loaded(&piped.run(line));
    }
}

#[test]
fn what_a_pipe_brings_is_refused_as_a_file_is() {
    let piped = Piped::new();
    for (line, code, words) in [
        ("gzip -c image.tar | hoist load -", 10, ["what comes on stdin is compressed with gzip", "`gunzip`"]),
        ("yes | head -c 5000 | hoist load -", 9, ["what comes on stdin is refused", "tar archive"]),
        ("mkdir directory; hoist load directory", 9, ["directory is not a regular file", ""]),
        ("hoist load - < /dev/zero", 9, ["what comes on stdin is not a regular file", ""]),
    ] {
        let refused = piped.run(line);
        assert_eq!(refused.code, code, "{line}: {}", refused.stderr);
        for word in words {
            assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
        }
    }
}
