//! References, by the tables of other projects: what they take we take for the same, what they refuse we refuse.
//!
//! The inputs are those of the projects' own tests, written anew. Where hoist differs by design, the row is under
//! `DIFFERENT`, with the reason.

use hoist_core::{ErrorKind, Reference};

/// What stands for a digest of this length in the tables.
const SHA256: &str = "$256";
const SHA512: &str = "$512";

/// distribution/reference, `reference_test.go`: `TestReferenceParse`, `TestDomainAndPath` and
/// `TestSerialization`. An input, its domain, its path, its tag and its digest. Where those tests have no domain,
/// it is the one that `normalize_test.go` gives it.
const DISTRIBUTION: &[(&str, &str, &str, &str, &str)] = &[
    ("test_com", "docker.io", "library/test_com", "", ""),
    ("test.com:tag", "docker.io", "library/test.com", "tag", ""),
    ("test.com:5000", "docker.io", "library/test.com", "5000", ""),
    ("test.com/repo:tag", "test.com", "repo", "tag", ""),
    ("test:5000/repo", "test:5000", "repo", "", ""),
    ("test:5000/repo:tag", "test:5000", "repo", "tag", ""),
    ("test:5000/repo@$256", "test:5000", "repo", "", SHA256),
    ("test:5000/repo:tag@$256", "test:5000", "repo", "tag", SHA256),
    ("lowercase:Uppercase", "docker.io", "library/lowercase", "Uppercase", ""),
    ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com", "bar/baz/quux", "", ""),
    ("sub-dom1.foo.com/bar/baz/quux:some-long-tag", "sub-dom1.foo.com", "bar/baz/quux", "some-long-tag", ""),
    (
        "b.gcr.io/test.example.com/my-app:test.example.com",
        "b.gcr.io",
        "test.example.com/my-app",
        "test.example.com",
        "",
    ),
    ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", ""),
    ("xn--7o8h.com/myimage:xn--7o8h.com@$512", "xn--7o8h.com", "myimage", "xn--7o8h.com", SHA512),
    ("foo_bar.com:8080", "docker.io", "library/foo_bar.com", "8080", ""),
    ("foo/foo_bar.com:8080", "docker.io", "foo/foo_bar.com", "8080", ""),
    ("192.168.1.1", "docker.io", "library/192.168.1.1", "", ""),
    ("192.168.1.1:tag", "docker.io", "library/192.168.1.1", "tag", ""),
    ("192.168.1.1:5000", "docker.io", "library/192.168.1.1", "5000", ""),
    ("192.168.1.1/repo", "192.168.1.1", "repo", "", ""),
    ("192.168.1.1:5000/repo", "192.168.1.1:5000", "repo", "", ""),
    ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", "5050", ""),
    ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", "", ""),
    ("[2001:db8:1:2:3:4:5:6]/repo:tag", "[2001:db8:1:2:3:4:5:6]", "repo", "tag", ""),
    ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000", "repo", "", ""),
    ("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000", "repo", "tag", ""),
    ("[2001:db8::1]:5000/repo@$256", "[2001:db8::1]:5000", "repo", "", SHA256),
    ("[2001:db8::1]:5000/repo:tag@$256", "[2001:db8::1]:5000", "repo", "tag", SHA256),
    ("[2001:db8::]:5000/repo", "[2001:db8::]:5000", "repo", "", ""),
    ("[::1]:5000/repo", "[::1]:5000", "repo", "", ""),
    ("test.com/foo", "test.com", "foo", "", ""),
    ("test_com/foo", "docker.io", "test_com/foo", "", ""),
    ("test:8080/foo", "test:8080", "foo", "", ""),
    ("test.com:8080/foo", "test.com:8080", "foo", "", ""),
    ("test-com:8080/foo", "test-com:8080", "foo", "", ""),
    ("xn--n3h.com:18080/foo", "xn--n3h.com:18080", "foo", "", ""),
    ("example.com:8000/named", "example.com:8000", "named", "", ""),
    ("example.com:8000/named:tagged", "example.com:8000", "named", "tagged", ""),
    ("other.com/named@$256", "other.com", "named", "", SHA256),
    ("test.com:8000/foo:TAG5", "test.com:8000", "foo", "TAG5", ""),
];

/// distribution/reference, `normalize_test.go`: `TestValidateReferenceName`, `TestValidateRemoteName`,
/// `TestParseRepositoryInfo`, `TestParseAnyReference` and `TestNormalizedSplitHostname`. An input and its full name.
const NORMALIZED: &[(&str, &str)] = &[
    ("docker/docker", "docker.io/docker/docker"),
    ("library/debian", "docker.io/library/debian"),
    ("debian", "docker.io/library/debian"),
    ("docker.io/docker/docker", "docker.io/docker/docker"),
    ("docker.io/library/debian", "docker.io/library/debian"),
    ("docker.io/debian", "docker.io/library/debian"),
    ("index.docker.io/docker/docker", "docker.io/docker/docker"),
    ("index.docker.io/library/debian", "docker.io/library/debian"),
    ("index.docker.io/debian", "docker.io/library/debian"),
    ("127.0.0.1:5000/docker/docker", "127.0.0.1:5000/docker/docker"),
    ("127.0.0.1:5000/library/debian", "127.0.0.1:5000/library/debian"),
    ("127.0.0.1:5000/debian", "127.0.0.1:5000/debian"),
    ("192.168.0.1", "docker.io/library/192.168.0.1"),
    ("192.168.0.1:80", "docker.io/library/192.168.0.1"),
    ("192.168.0.1:8/debian", "192.168.0.1:8/debian"),
    ("192.168.0.2:25000/debian", "192.168.0.2:25000/debian"),
    ("$song", "docker.io/library/$song"),
    ("[fc00::1]:5000/docker", "[fc00::1]:5000/docker"),
    ("[fc00::1]:5000/docker/docker", "[fc00::1]:5000/docker/docker"),
    ("[fc00:1:2:3:4:5:6:7]:5000/library/debian", "[fc00:1:2:3:4:5:6:7]:5000/library/debian"),
    ("docker.io/$hex", "docker.io/library/$hex"),
    ("Docker/docker", "Docker/docker"),
    ("DOCKER/docker", "DOCKER/docker"),
    ("docker-rules/docker", "docker.io/docker-rules/docker"),
    ("docker---rules/docker", "docker.io/docker---rules/docker"),
    ("doc/docker", "docker.io/doc/docker"),
    ("d/docker", "docker.io/d/docker"),
    ("jess/t", "docker.io/jess/t"),
    ("dock__er/docker", "docker.io/dock__er/docker"),
    ("fooo/bar", "docker.io/fooo/bar"),
    ("index.docker.io/fooo/bar", "docker.io/fooo/bar"),
    ("ubuntu", "docker.io/library/ubuntu"),
    ("library/ubuntu", "docker.io/library/ubuntu"),
    ("nonlibrary/ubuntu", "docker.io/nonlibrary/ubuntu"),
    ("other/library", "docker.io/other/library"),
    ("127.0.0.1:8000/private/moonbase", "127.0.0.1:8000/private/moonbase"),
    ("127.0.0.1:8000/privatebase", "127.0.0.1:8000/privatebase"),
    ("example.com/private/moonbase", "example.com/private/moonbase"),
    ("example.com/privatebase", "example.com/privatebase"),
    ("example.com:8000/private/moonbase", "example.com:8000/private/moonbase"),
    ("example.com:8000/privatebasee", "example.com:8000/privatebasee"),
    ("ubuntu-12.04-base", "docker.io/library/ubuntu-12.04-base"),
    ("index.docker.io/library/ubuntu-12.04-base", "docker.io/library/ubuntu-12.04-base"),
    ("foo", "docker.io/library/foo"),
    ("docker.io/foo", "docker.io/library/foo"),
    ("library/foo/bar", "docker.io/library/foo/bar"),
    ("docker.io/library/foo/bar", "docker.io/library/foo/bar"),
    ("store/foo/bar", "docker.io/store/foo/bar"),
    ("Foo/bar", "Foo/bar"),
    ("FOO/bar", "FOO/bar"),
    ("busybox:latest@$256", "docker.io/library/busybox"),
    ("redis:latest", "docker.io/library/redis"),
    ("redis@$256", "docker.io/library/redis"),
    ("dmcgowan/myapp:latest", "docker.io/dmcgowan/myapp"),
    ("docker.io/dmcgowan/myapp@$256", "docker.io/dmcgowan/myapp"),
    ("$hex63", "docker.io/library/$hex63"),
    ("dbcc1", "docker.io/library/dbcc1"),
    // to `ParseAnyReference` it is a digest; to `ParseNormalizedNamed`, which pulls go through, a tag
    ("sha256:$hex", "docker.io/library/sha256"),
    ("docker/migrator", "docker.io/docker/migrator"),
    ("xn--n3h.com:18080/foo", "xn--n3h.com:18080/foo"),
];

/// What the same files refuse.
const DISTRIBUTION_REFUSES: &[&str] = &[
    "",
    ":justtag",
    "@$256",
    "repo@sha256:ffffffffffffffffffffffffffffffffff",
    "validname@invaliddigest:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "Uppercase:tag",
    "test:5000/Uppercase/lowercase:tag",
    "$a128:tag",
    "aa/asdf$$^/aa",
    "[2001:db8::1]",
    "[2001:db8::1]:5000",
    "[2001:db8::1]:tag",
    "[fe80::1%eth0]:5000/repo",
    "[fe80::1%@invalidzone]:5000/repo",
    "https://github.com/docker/docker",
    "docker/Docker",
    "-docker",
    "-foo",
    "busybox:-foo",
    "busybox@foo",
    "-docker/docker",
    "-docker.io/docker/docker",
    "docker///docker",
    "docker.io/docker/Docker",
    "docker.io/docker///docker",
    "[fc00::1]",
    "[fc00::1]:5000",
    "fc00::1:5000/debian",
    "[fe80::1%eth0]:5000/debian",
    "[2001:db8:3:4::192.0.2.33]:5000/debian",
    "$hex",
    "docker-/docker",
    "-docker-/docker",
    "____/____",
    "_docker/_docker",
    "dock..er/docker",
    "dock_.er/docker",
    "dock-.er/docker",
    "docker/",
    "$long/docker",
];

/// google/go-containerregistry, `pkg/name`: the good names of `tag_test.go`, `digest_test.go` and
/// `repository_test.go`, and the registries of `registry_test.go` with a repository behind them.
const GGCR: &[&str] = &[
    "gcr.io/g-convoy/hello-world:latest",
    "gcr.io/google.com/g-convoy/hello-world:latest",
    "gcr.io/project-id/with-nums:v2",
    "us.gcr.io/project-id/image:with.period.in.tag",
    "gcr.io/project-id/image:w1th-alpha_num3ric.PLUScaps",
    "domain.with.port:9001/image:latest",
    "gcr.io/g-convoy/hello-world@$256",
    "gcr.io/google.com/project-id/hello-world@$256",
    "us.gcr.io/project-id/sub-repo@$256",
    "example.text/foo/bar@$256",
    "example.text/foo/bar:latest@$256",
    "example.text:8443/foo/bar:latest@$256",
    "example.text/foo/bar:v1.0.0-alpine@$256",
    "gcr.io:9001/x:latest",
    "us.gcr.io/x:latest",
    "localhost/x:latest",
    "localhost:9090/x:latest",
    "mirror.gcr.io/ubuntu:latest",
    "example.com/a:latest",
    "example.com/a/b:latest",
    "localhost/testimage:latest",
];

/// The names that it takes with `WeakValidation`, which have defaults filled in. It writes Docker Hub's host as
/// `index.docker.io`, where hoist and Docker write `docker.io`.
const GGCR_WEAK: &[(&str, &str)] = &[
    ("namespace/pathcomponent/image", "docker.io/namespace/pathcomponent/image:latest"),
    ("library/ubuntu", "docker.io/library/ubuntu:latest"),
    ("ubuntu", "docker.io/library/ubuntu:latest"),
    ("a", "docker.io/library/a:latest"),
    ("0", "docker.io/library/0:latest"),
    ("gcr.io/project-id/implicit-latest", "gcr.io/project-id/implicit-latest:latest"),
    ("www.example.test:12345/repo/path", "www.example.test:12345/repo/path:latest"),
    ("namespace/pathcomponent/image@$256", "docker.io/namespace/pathcomponent/image@$256"),
    ("library/ubuntu@$256", "docker.io/library/ubuntu@$256"),
    ("nginx:latest@$256", "docker.io/library/nginx:latest@$256"),
    ("library/nginx:latest@$256", "docker.io/library/nginx:latest@$256"),
    ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"),
];

/// The bad names of those files.
const GGCR_REFUSES: &[&str] = &[
    "gcr.io/project-id/bad_chars:c@n'tuse",
    "gcr.io/project-id/wrong-length:white space",
    "gcr.io/project-id/too-many-chars:$tag",
    "gcr.io/project-id/unknown-alg@unknown:abc123",
    "gcr.io/project-id/wrong-length@sha256:d34db33fd34db33f",
    "gcr.io/project-id/missing-digest@",
    "white space",
    "white space/image",
    "gcr?com/image",
    "b@char/image",
];

/// containerd, `pkg/reference/reference_test.go`: those whose digests are digests.
const CONTAINERD: &[&str] = &[
    "sub-dom1.foo.com/bar/baz/quux:latest",
    "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
    "b.gcr.io/test.example.com/my-app:test.example.com",
    "xn--n3h.com/myimage:xn--n3h.com",
];

const CONTAINERD_REFUSES: &[&str] = &[
    "/docker.io/library/redis:obj@abcdef?fooo=asdf",
    "http://xn--7o8h.com/myimage:xn--7o8h.com@sha512:fffffff",
];

/// What hoist does otherwise, by design.
const DIFFERENT: &[(&str, &str)] = &[
    // containerd's own references are locators with a query, and its digests need not be any; Docker's are not.
    ("docker.io/library/redis:foo?fooo=asdf", "containerd takes a query"),
    ("docker.io/library/redis:foo@sha256:abcdef?fooo=asdf", "containerd takes a short digest"),
    ("docker.io/library/redis@sha256:abcdef?fooo=asdf", "containerd takes a short digest"),
    ("docker.io/library/redis:obj@abcdef?fooo=asdf", "containerd takes a digest without an algorithm"),
    ("localhost:5000/library/redis:obj@abcdef?fooo=asdf", "containerd takes a digest without an algorithm"),
    ("docker.io/library/redis?fooo=asdf", "containerd takes a query"),
    ("xn--7o8h.com/myimage:xn--7o8h.com@sha512:fffffff", "containerd takes a short digest"),
    // Nobody could connect there.
    ("host.example:99999/x", "distribution takes any digits for a port"),
];

fn expand(text: &str) -> String {
    let hex = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";
    text.replace("$256", &format!("sha256:{}", "f".repeat(64)))
        .replace("$512", &format!("sha512:{}", "f".repeat(128)))
        .replace("$hex63", &hex[1..])
        .replace("$hex", hex)
        .replace("$song", "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev")
        .replace("$a128", &format!("{}a", "a/".repeat(128)))
        .replace("$long", &"this_is_not_a_valid_namespace_because_its_lenth_is_greater_than_255_".repeat(4))
        .replace("$tag", &"thisisthetagthatneverends".repeat(6))
}

fn parse(text: &str) -> Reference {
    let text = expand(text);
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn what_distribution_takes_is_taken_apart_in_the_same_way() {
    for (input, domain, path, tag, digest) in DISTRIBUTION {
        let reference = parse(input);
        assert_eq!((reference.registry(), reference.repository()), (*domain, *path), "{input}");
        let found = reference.digest().map(ToString::to_string).unwrap_or_default();
        assert_eq!(found, expand(digest), "{input}");
        let expected = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        assert_eq!(reference.tag().unwrap_or_default(), expected, "{input}");
    }
}

#[test]
fn what_distribution_normalizes_gets_the_same_name() {
    for (input, name) in NORMALIZED {
        assert_eq!(parse(input).name(), expand(name), "{input}");
    }
    let longest = format!("{}a:tag-puts-this-over-max", "a/".repeat(127));
    assert_eq!(parse(&longest).repository().len(), 255, "the tag does not count");
}

#[test]
fn what_go_containerregistry_takes_is_the_same_name() {
    for name in GGCR.iter().chain(CONTAINERD) {
        assert_eq!(parse(name).to_string(), expand(name));
    }
    for (name, full) in GGCR_WEAK {
        assert_eq!(parse(name).to_string(), expand(full));
    }
}

#[test]
fn what_others_refuse_is_refused() {
    let different = DIFFERENT.iter().map(|(input, _)| input);
    for input in DISTRIBUTION_REFUSES.iter().chain(GGCR_REFUSES).chain(CONTAINERD_REFUSES).chain(different) {
        let input = expand(input);
        let error = input.parse::<Reference>().expect_err(&input);
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{input}");
    }
}
