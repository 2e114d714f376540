//! Challenges from the test tables of public projects, written anew, and from random text.

use proptest::prelude::*;

use super::*;
use crate::fuzz;

fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
    let parameters = parameters.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    Challenge { scheme: scheme.into(), parameters }
}

#[test]
fn a_scope_may_have_commas_in_it() {
    let header = r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
    let expected = [
        ("realm", "https://auth.example.com/token"),
        ("service", "registry"),
        ("scope", "repository:a/b:pull,push"),
    ];
    assert_eq!(parse(header), [challenge("bearer", &expected)]);
}

#[test]
fn one_header_may_have_several_challenges() {
    let header = r#"Negotiate, Basic realm="a \"quoted\" name" , bearer  Realm=x, service = y"#;
    let expected = [
        challenge("negotiate", &[]),
        challenge("basic", &[("realm", "a \"quoted\" name")]),
        challenge("bearer", &[("realm", "x"), ("service", "y")]),
    ];
    assert_eq!(parse(header), expected);
}

#[test]
fn parameters_may_be_parted_by_spaces_alone_and_a_value_may_lack_its_end() {
    let expected = challenge("bearer", &[("realm", "http://a/token"), ("service", "b"), ("scope", "c d")]);
    for header in [
        r#"Bearer realm="http://a/token" service="b" scope="c d""#,
        r#"Bearer realm="http://a/token",,service=b scope="c d"#,
        r#"Bearer  realm = "http://a/token"service="b",scope="c d""#,
    ] {
        assert_eq!(parse(header), std::slice::from_ref(&expected), "{header}");
    }
}

#[test]
fn nonsense_is_passed_over() {
    for header in ["", ",,,", "=", "a=b", "\"", "Basic realm=\"", "\\", "Bearer =,=,\"=\""] {
        parse(header);
    }
    assert_eq!(parse(""), []);
}

/// A header, and its challenges: each scheme with its parameters.
type Row = (&'static str, &'static [(&'static str, &'static [(&'static str, &'static str)])]);

/// From distribution's `registry/client/auth/challenge/authchallenge_test.go`.
const DISTRIBUTION: &[Row] = &[
    (
        r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",other=fun,slashed="he\"\l\lo""#,
        &[(
            "bearer",
            &[
                ("realm", "https://auth.example.com/token"),
                ("service", "registry.example.com"),
                ("other", "fun"),
                ("slashed", "he\"llo"),
            ],
        )],
    ),
    (
        r#"Bearer realm="https://reg.EXAMPLE.com/token",service="registry.example.com""#,
        &[("bearer", &[("realm", "https://reg.EXAMPLE.com/token"), ("service", "registry.example.com")])],
    ),
    (
        r#"Bearer realm="https://reg.example.com:80/token",service="registry.example.com""#,
        &[("bearer", &[("realm", "https://reg.example.com:80/token"), ("service", "registry.example.com")])],
    ),
];

/// From containerd's `core/remotes/docker/auth/parse_test.go`.
const CONTAINERD: &[Row] = &[
    (
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:foo/bar:pull,push""#,
        &[(
            "bearer",
            &[
                ("realm", "https://auth.docker.io/token"),
                ("service", "registry.docker.io"),
                ("scope", "repository:foo/bar:pull,push"),
            ],
        )],
    ),
    (
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:foo/bar:pull,push repository:foo/baz:pull repository:foo/foo:push""#,
        &[(
            "bearer",
            &[
                ("realm", "https://auth.docker.io/token"),
                ("service", "registry.docker.io"),
                ("scope", "repository:foo/bar:pull,push repository:foo/baz:pull repository:foo/foo:push"),
            ],
        )],
    ),
    (
        r#"Bearer realm="https://auth.example.io/token",empty="",service="registry.example.io",scope="repository:library/hello-world:pull,push""#,
        &[(
            "bearer",
            &[
                ("realm", "https://auth.example.io/token"),
                ("empty", ""),
                ("service", "registry.example.io"),
                ("scope", "repository:library/hello-world:pull,push"),
            ],
        )],
    ),
];

/// From go-containerregistry's `pkg/v1/remote/transport/ping_test.go`. Its row with a bare `foo` is left out: that
/// is a token68 by the RFC, and no parameter.
const GO_CONTAINERREGISTRY: &[Row] = &[
    (r#"Bearer foo="bar""#, &[("bearer", &[("foo", "bar")])]),
    (r#"Bearer foo="bar",baz="blah""#, &[("bearer", &[("foo", "bar"), ("baz", "blah")])]),
    (r#"Bearer baz="blah", foo="bar""#, &[("bearer", &[("foo", "bar"), ("baz", "blah")])]),
    (
        r#"Bearer realm="https://gcr.io/v2/token", service="gcr.io", scope="repository:foo/bar:pull""#,
        &[(
            "bearer",
            &[
                ("realm", "https://gcr.io/v2/token"),
                ("service", "gcr.io"),
                ("scope", "repository:foo/bar:pull"),
            ],
        )],
    ),
    ("BASIC", &[("basic", &[])]),
    (
        r#"Bearer realm="http://auth.example.com/token""#,
        &[("bearer", &[("realm", "http://auth.example.com/token")])],
    ),
];

#[test]
fn the_challenges_of_public_projects_are_read_as_they_read_them() {
    for (header, expected) in [DISTRIBUTION, CONTAINERD, GO_CONTAINERREGISTRY].concat() {
        let expected: Vec<_> = expected.iter().map(|(scheme, of)| challenge(scheme, of)).collect();
        assert_eq!(parse(header), expected, "{header}");
    }
}

proptest! {
    #![proptest_config(fuzz::cases())]

    #[test]
    fn fuzz_a_challenge_of_any_text_is_no_larger_than_that(
        header in prop_oneof![".{0,300}", r#"((Bearer|Basic|realm|scope|[a-z]{1,3}|=|,|"|\\| )){0,60}"#]
    ) {
        let read = parse(&header);
        let size: usize = read.iter().flat_map(|c| &c.parameters).map(|(name, value)| name.len() + value.len()).sum();
        // A letter in lower case can be longer than it was.
        prop_assert!(read.len() <= header.len() + 1 && size <= 3 * header.len());
    }

    #[test]
    fn fuzz_a_quoted_value_is_read_as_it_was_written(value in ".{0,60}", scope in "[ -~]{0,60}") {
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let header = format!("Negotiate, Bearer realm=\"{}\" , scope=\"{}\",Basic", quote(&value), quote(&scope));
        let expected = [challenge("negotiate", &[]), challenge("bearer", &[("realm", &value), ("scope", &scope)]), challenge("basic", &[])];
        prop_assert_eq!(parse(&header), expected);
    }
}
