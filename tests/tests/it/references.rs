//! Our parser against another's: what both take, they take for the same.

use hoist_core::Reference;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn oci_spec_reads_references_as_we_do() {
    for text in [
        "nginx",
        "nginx:1.27",
        "user/app:v1",
        "docker.io/nginx",
        "index.docker.io/user/app",
        "ghcr.io/org/team/repo:v1",
        "localhost/x",
        "localhost:5000/x:v1",
        "127.0.0.1:5000/library/demo:v1",
        "registry.example.com/a_b/c__d/e--f.g:T_a.g-1",
        &format!("nginx@sha256:{HEX}"),
        &format!("registry.example.com/image:v1@sha256:{HEX}"),
    ] {
        let ours: Reference = text.parse().unwrap();
        let theirs: oci_spec::distribution::Reference = text.parse().unwrap();
        assert_eq!(ours.registry(), theirs.registry(), "{text}");
        assert_eq!(ours.repository(), theirs.repository(), "{text}");
        assert_eq!(ours.tag(), theirs.tag(), "{text}");
        assert_eq!(ours.digest().map(ToString::to_string).as_deref(), theirs.digest(), "{text}");
        assert_eq!(ours.to_string(), theirs.whole(), "{text}");
    }
}
