//! Every example runs, and prints what its reader is promised.

use std::path::Path;
use std::process::Command;

/// Runs an example that `cargo test` has built, and checks that it prints these texts, parted by bars, in this
/// order.
fn prints(example: &str, texts: &str) {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    let output = Command::new(profile.join("examples").join(example)).output().expect("the example is built");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = &stdout[..];
    for text in texts.split('|') {
        let (_, after) = rest.split_once(text).unwrap_or_else(|| panic!("no {text:?} in {rest}"));
        rest = after;
    }
}

#[test]
fn demo() {
    let expected = "stack    cached(remote)\n|cold     127.0.0.1:|/library/demo:v1 in|sha256:|/images/sha256/|\
        cached   the same|list     127.0.0.1:|remove   true\n|list     0 images";
    prints("demo", expected);
}

#[test]
fn pull() {
    let expected = "pulled 127.0.0.1:|/library/demo:v1\n|digest sha256:|oci-layout: there\n|\
        index.json: there\n|blobs/sha256: there\n";
    prints("pull", expected);
}

#[test]
fn cached() {
    let expected = "first pull\nthe registry is asked for library/demo\nsecond pull\nthe registry is down\n|\
        third pull: answered all the same\nthe registry is asked|forced pull: Unavailable\n|still cached: true\n";
    prints("cached", expected);
}

#[test]
fn serve() {
    let expected = "/: 200 hello\n|/v2/library/demo/tags/list: 200 {|\"tags\":[\"v1\"]}\n|\
        /v2/library/other/tags/list: 404 {";
    prints("serve", expected);
}

#[test]
fn local_only() {
    prints("local_only", "pulled docker.io/library/web:v1\n|of its own: true\n|cache:v1 is NotFound\n");
}

#[test]
fn private_registry() {
    prints(
        "private_registry",
        "without credentials: Unauthorized\n|not shown: true\n|with credentials: sha256:",
    );
}

#[test]
fn custom_backend() {
    let expected = "pulled shelf.example/demo:v1\n|cached true\n|no docker.io/library/demo:v2 on the shelf\n|\
        the contract is kept\n";
    prints("custom_backend", expected);
}

#[test]
fn blocking() {
    let expected = "pulled docker.io/library/web:v1\n|pulled|pulled|pulled|leased sha256:|removed true\n|\
        still there: true\n";
    prints("blocking", expected);
}

#[test]
fn vm_boot() {
    let expected = "leased sha256:|layer sha256:|running\n|removed meanwhile: true\n|still readable: true\n|\
        released\n|gone after the lease: true\n";
    prints("vm_boot", expected);
}

#[test]
fn progress() {
    let expected = "resolved to sha256:|fetching a blob of|right digest\n|is in the store\n|received |\
        again, with everything checked:\nresolved to|is here already\n|is in the store\n";
    prints("progress", expected);
}

#[test]
fn micro_vm() {
    let expected = "the guest runs [\"/bin/hello\"] in / as user 0\n|cloud-hypervisor |/rootfs.erofs,readonly=on|\
        hoist.root_hash=|\"is_root_device\": true|libkrun: krun_add_disk";
    prints("micro_vm", expected);
}
