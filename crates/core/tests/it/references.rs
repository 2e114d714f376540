//! References, as a table: what Docker's conventions make of each input, and what they refuse.
//!
//! The rules are those of distribution/reference (`ParseDockerRef`), but what no connection could be made
//! to is refused at once: a port beyond 65535, and an IPv6 literal that is no address.

use hoist_core::{ErrorKind, Reference};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `$sha` stands for a SHA-256 digest, `$sha512` for a SHA-512 one.
const GOOD: &[(&str, &str)] = &[
    // the defaults of Docker Hub
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1.27", "docker.io/library/nginx:1.27"),
    ("library/nginx", "docker.io/library/nginx:latest"),
    ("user/app", "docker.io/user/app:latest"),
    ("user/team/app:v1", "docker.io/user/team/app:v1"),
    ("docker.io/nginx", "docker.io/library/nginx:latest"),
    ("docker.io/library/nginx", "docker.io/library/nginx:latest"),
    ("docker.io/user/app", "docker.io/user/app:latest"),
    ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
    ("index.docker.io/user/app:v1", "docker.io/user/app:v1"),
    // other registries
    ("ghcr.io/org/repo:v1", "ghcr.io/org/repo:v1"),
    ("ghcr.io/repo", "ghcr.io/repo:latest"),
    ("quay.io/a/b/c/d", "quay.io/a/b/c/d:latest"),
    ("registry.example.com/image", "registry.example.com/image:latest"),
    ("registry.example.com:5000/image:v1", "registry.example.com:5000/image:v1"),
    ("xn--n3h.com/myimage", "xn--n3h.com/myimage:latest"),
    ("a.b/c", "a.b/c:latest"),
    // what makes the first component a registry: a dot, a colon, `localhost`, or upper case
    ("localhost/x", "localhost/x:latest"),
    ("localhost:5000/x", "localhost:5000/x:latest"),
    ("localhost:5000", "docker.io/library/localhost:5000"),
    ("local/x", "docker.io/local/x:latest"),
    ("host:80/x:y", "host:80/x:y"),
    ("Uppercase/lower", "Uppercase/lower:latest"),
    ("FOO/bar", "FOO/bar:latest"),
    ("test_com/foo", "docker.io/test_com/foo:latest"),
    ("192.168.0.1", "docker.io/library/192.168.0.1:latest"),
    ("HOST/x:v1", "HOST/x:v1"),
    ("Registry.Example.COM/x", "Registry.Example.COM/x:latest"),
    // addresses
    ("127.0.0.1/x", "127.0.0.1/x:latest"),
    ("127.0.0.1:5000/library/demo:v1", "127.0.0.1:5000/library/demo:v1"),
    ("[::1]/x", "[::1]/x:latest"),
    ("[::1]:5000/x", "[::1]:5000/x:latest"),
    ("[2001:db8::1]:5000/a/b:v1", "[2001:db8::1]:5000/a/b:v1"),
    ("[2001:DB8::1]/x", "[2001:DB8::1]/x:latest"),
    // digests
    ("nginx@$sha", "docker.io/library/nginx@$sha"),
    ("nginx:1.27@$sha", "docker.io/library/nginx:1.27@$sha"),
    ("nginx:latest@$sha", "docker.io/library/nginx:latest@$sha"),
    ("registry.example.com/image@$sha", "registry.example.com/image@$sha"),
    ("registry.example.com:8080/image:tag@$sha", "registry.example.com:8080/image:tag@$sha"),
    ("[::1]:5000/x@$sha", "[::1]:5000/x@$sha"),
    ("nginx@$sha512", "docker.io/library/nginx@$sha512"),
    // separators within components
    ("a.b.c/d", "a.b.c/d:latest"),
    ("x/a.b", "docker.io/x/a.b:latest"),
    ("x/a_b", "docker.io/x/a_b:latest"),
    ("x/a__b", "docker.io/x/a__b:latest"),
    ("x/a-b", "docker.io/x/a-b:latest"),
    ("x/a---b", "docker.io/x/a---b:latest"),
    ("1/2/3", "docker.io/1/2/3:latest"),
    ("x_y", "docker.io/library/x_y:latest"),
    // tags
    ("x:_", "docker.io/library/x:_"),
    ("x:A.b-C_9", "docker.io/library/x:A.b-C_9"),
    ("x:0", "docker.io/library/x:0"),
    ("x/y:tag.with.dots", "docker.io/x/y:tag.with.dots"),
    // 64 hexadecimal digits are an id on their own only
    ("x/$hex", "docker.io/x/$hex:latest"),
    ("$hex:v1", "docker.io/library/$hex:v1"),
];

const BAD: &[&str] = &[
    "",
    " ",
    "nginx ",
    " nginx",
    "ngi nx",
    "nginx\n",
    ":tag",
    "@$sha",
    "nginx:",
    "nginx@",
    "nginx:tag@",
    "nginx:tag:tag",
    "nginx@$sha@$sha",
    "$hex",
    "UPPER",
    "Nginx:latest",
    "user/App",
    "docker.io/Library/nginx",
    "FOO/Bar",
    "____/____",
    "dock-.er/docker",
    "[fc00::1]",
    "[fc00::1]:5000",
    "[2001:db8:3:4::192.0.2.33]:5000/debian",
    "/nginx",
    "nginx/",
    "a//b",
    "https://ghcr.io/org/repo",
    "docker://nginx",
    "../etc/passwd",
    "a/../b",
    "a/./b",
    "./a",
    "a/.b",
    "a/b.",
    "a/_b",
    "a/b_",
    "a/-b",
    "a/b-",
    "a/b..c",
    "a/b___c",
    "a/b._c",
    "a/b\u{0}c",
    "a/\u{fc}",
    "-host.example/x",
    "host-.example/x",
    "host..example/x",
    ".example/x",
    "ho_st.example/x",
    "host.example:/x",
    "host.example:port/x",
    "host.example:99999/x",
    "host:5000:5000/x",
    "[::1/x",
    "::1/x",
    "[]/x",
    "[::g]/x",
    "[127.0.0.1]/x",
    "[fe80::1%eth0]/x",
    "x:.tag",
    "x:-tag",
    "x:ta g",
    "x:ta/g",
    "x@sha256:abc",
    "x@sha256:../../etc/passwd",
    "x@md5:d41d8cd98f00b204e9800998ecf8427e",
    "x@sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "x@SHA256:$hex",
    "x@$HEX",
];

fn expand(text: &str) -> String {
    let sha512 = format!("sha512:{HEX}{HEX}");
    text.replace("$sha512", &sha512)
        .replace("$sha", &format!("sha256:{HEX}"))
        .replace("$hex", HEX)
        .replace("$HEX", &HEX.to_uppercase())
}

#[test]
fn good_references_are_qualified_as_docker_does() {
    for (input, expected) in GOOD {
        let (input, expected) = (expand(input), expand(expected));
        let parsed: Reference = input.parse().unwrap_or_else(|error| panic!("{input:?}: {error}"));
        assert_eq!(parsed.to_string(), expected, "{input:?}");
        assert_eq!(expected.parse::<Reference>().unwrap(), parsed, "what is printed parses again");
    }
}

#[test]
fn bad_references_are_refused_with_their_kind_and_advice() {
    for input in BAD {
        let input = expand(input);
        let error = input.parse::<Reference>().expect_err(&input);
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{input:?}");
        assert!(error.help().is_some(), "{input:?}");
    }
}

#[test]
fn names_and_tags_are_bounded() {
    let tag = "t".repeat(128);
    assert!(format!("x:{tag}").parse::<Reference>().is_ok());
    assert!(format!("x:{tag}t").parse::<Reference>().is_err());
    let repository = format!("library/{}", "r".repeat(255 - "library/".len()));
    assert!(repository.parse::<Reference>().is_ok());
    assert!(format!("{repository}r").parse::<Reference>().is_err());
    let host = format!("{}.example", "h".repeat(247));
    assert!(format!("{host}/x").parse::<Reference>().is_ok());
    assert!(format!("{host}e/x").parse::<Reference>().is_err());
}

#[test]
fn the_digest_decides_and_the_tag_is_kept() {
    let reference: Reference = expand("nginx:1.27@$sha").parse().unwrap();
    assert_eq!(reference.selector(), expand("$sha"));
    assert_eq!(reference.tag(), Some("1.27"));
    assert_eq!(reference.registry(), "docker.io");
    assert_eq!(reference.repository(), "library/nginx");
    assert_eq!(reference.name(), "docker.io/library/nginx");
    let pinned = reference.pinned(expand("$sha512").parse().unwrap());
    assert_eq!(pinned.to_string(), expand("docker.io/library/nginx@$sha512"));
}

#[test]
fn a_repository_is_one_of_one_registry() {
    let parse = |text: &str| text.parse::<Reference>().unwrap();
    let nginx = parse("nginx:1.27");
    assert!(nginx.same_repository(&parse("docker.io/library/nginx:latest")));
    assert!(!nginx.same_repository(&parse("ghcr.io/library/nginx:1.27")));
    assert!(!nginx.same_repository(&parse("user/nginx:1.27")));
    assert!(!nginx.same_repository(&parse("ghcr.io/nginx:1.27")));
}

#[test]
fn a_reference_is_its_text_to_who_serializes_it() {
    let reference: Reference = "nginx".parse().unwrap();
    let text = serde_json::to_string(&reference).unwrap();
    assert_eq!(text, "\"docker.io/library/nginx:latest\"");
    assert_eq!(serde_json::from_str::<Reference>(&text).unwrap(), reference);
}
