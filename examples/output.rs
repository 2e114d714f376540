//! Every example runs, and prints what its reader is promised.

use std::path::Path;
use std::process::Command;

/// Runs an example that `cargo test` has built, and checks that these texts are printed, in this order.
fn prints(example: &str, texts: &[&str]) {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    let output = Command::new(profile.join("examples").join(example)).output().expect("the example is built");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = &stdout[..];
    for text in texts {
        let (_, after) = rest.split_once(text).unwrap_or_else(|| panic!("no {text:?} in {rest}"));
        rest = after;
    }
}

#[test]
fn demo() {
    let texts = [
        "stack    cached(remote)",
        "cold     127.0.0.1:",
        "/library/demo:v1 in",
        "sha256:",
        "/images/sha256/",
    ];
    prints("demo", &texts);
    prints("demo", &["cached   the same", "list     127.0.0.1:", "remove   true", "list     0 images"]);
}

#[test]
fn pull() {
    let texts = ["pulled 127.0.0.1:", "/library/demo:v1\n", "digest sha256:", "oci-layout: there\n"];
    prints("pull", &texts);
    prints("pull", &["index.json: there\n", "blobs/sha256: there\n"]);
}

#[test]
fn cached() {
    let asked = "the registry is asked for library/demo\n";
    let texts =
        ["first pull\n", asked, "second pull\nthe registry is down\nthird pull: answered all the same\n"];
    prints("cached", &texts);
    prints("cached", &["third pull", asked, "forced pull: Unavailable\n", "still cached: true\n"]);
}

#[test]
fn local_only() {
    prints(
        "local_only",
        &["pulled docker.io/library/web:v1\n", "of its own: true\n", "cache:v1 is NotFound\n"],
    );
}

#[test]
fn private_registry() {
    let texts = ["without credentials: Unauthorized\n", "not shown: true\n", "with credentials: sha256:"];
    prints("private_registry", &texts);
}

#[test]
fn custom_backend() {
    let texts =
        ["pulled docker.io/library/demo:v1\n", "cached true\n", "no docker.io/library/demo:v2 in memory"];
    prints("custom_backend", &texts);
}

#[test]
fn progress() {
    let fetched =
        ["resolved to sha256:", "fetching a blob of", "right digest\n", "is in the store\n", "received "];
    prints("progress", &fetched);
    prints("progress", &["again", "resolved to sha256:", "is here already\n", "the image is in the store\n"]);
}
