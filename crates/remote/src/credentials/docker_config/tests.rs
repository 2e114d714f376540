//! Reads credentials from such files, and checks that no file causes a panic.

use proptest::prelude::*;

use super::*;
use crate::fuzz;

/// The credentials in a file for a repository of `ghcr.io`.
fn read(text: &str) -> Result<Option<Credentials>, Wrong> {
    DockerConfig::parse(text.as_bytes())?.credentials(&CredentialKey::new("ghcr.io", "org/demo"))
}

#[test]
fn each_way_to_write_credentials_is_read() {
    let basic = Credentials::basic("me", "pa:ss");
    let token = |user: &str, kind| Credentials::new(kind, user, "t");
    for (entry, expected) in [
        (r#""auth": "bWU6cGE6c3M=""#, Some(basic.clone())),
        (r#""auth": "bWU6cGE6c3MA""#, Some(basic.clone())), // a NUL behind it
        (r#""auth": "bWU6cGE6c3M=", "username": "you", "password": "x""#, Some(basic.clone())),
        (r#""username": "me", "password": "pa:ss", "email": "a@b""#, Some(basic)),
        (r#""identitytoken": "t""#, Some(token("", CredentialKind::IdentityToken))),
        (r#""auth": "bWU6", "identitytoken": "t""#, Some(token("me", CredentialKind::IdentityToken))),
        (r#""registrytoken": "t""#, Some(token("", CredentialKind::RegistryToken))),
        (r#""auth": """#, None),
        ("", None),
    ] {
        let text = format!(r#"{{"auths": {{"ghcr.io": {{{entry}}}}}, "proxies": {{"default": {{}}}}}}"#);
        assert_eq!(read(&text), Ok(expected), "{text}");
    }
    for text in
        ["{}", r#"{"auths": null}"#, r#"{"auths": {"ghcr.io": null}}"#, r#"{"auths": {"quay.io": {}}}"#]
    {
        assert_eq!(read(text), Ok(None), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_named_without_its_value() {
    for text in [
        r#"{"auths": {"ghcr.io": {"auth": "canary"}}}"#,
        r#"{"auths": {"ghcr.io": {"auth": "Y2FuYXJ5"}}}"#, // no colon
        r#"{"auths": {"ghcr.io": "canary"}}"#,
        r#"{"auths": ["canary"]}"#,
        r#"{"auths": {"ghcr.io": {"password": ["canary"]}}}"#,
        "canary",
        "",
    ] {
        let wrong = read(text).unwrap_err();
        assert!(!wrong.contains("canary") && !wrong.contains("Y2Fu"), "{wrong}");
        assert!(wrong.contains("ghcr.io") || wrong.contains("line"), "{wrong}");
    }
}

#[test]
fn a_helper_is_for_its_host_and_the_store_for_all_others() {
    let text =
        r#"{"credHelpers": {"ghcr.io": "own", "https://index.docker.io/v1/": "hub"}, "credsStore": "all"}"#;
    let config = DockerConfig::parse(text.as_bytes()).unwrap();
    for (host, helper) in [("ghcr.io", "own"), ("docker.io", "hub"), ("quay.io", "all")] {
        assert_eq!(config.helper(&CredentialKey::new(host, "a/b")), Some(helper));
    }
    let config = DockerConfig::parse(br#"{"credHelpers": {"ghcr.io": "own"}, "credsStore": ""}"#).unwrap();
    assert_eq!(config.helper(&CredentialKey::new("quay.io", "a/b")), None);
    assert_eq!(config.helper(&CredentialKey::new("ghcr.io.evil.com", "a/b")), None);
}

#[test]
fn the_format_before_there_were_auths_is_read() {
    let config = DockerConfig::parse_legacy(br#"{"https://index.docker.io/v1/": {"auth": "bWU6eA=="}}"#);
    let found = config.unwrap().credentials(&CredentialKey::new("docker.io", "library/nginx"));
    assert_eq!(found, Ok(Some(Credentials::basic("me", "x"))));
}

/// JSON, mostly with the words that such a file has.
fn documents() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("auths"),
        Just("auth"),
        Just("credHelpers"),
        Just("credsStore"),
        Just("identitytoken"),
        Just("registrytoken"),
        Just("ghcr.io"),
        Just("https://index.docker.io/v1/"),
        Just("bWU6eA=="),
        Just("")
    ]
    .prop_map(str::to_owned);
    let word = prop_oneof![4 => word, 1 => ".{0,12}"];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        word.clone().prop_map(Into::into)
    ];
    let value = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(word.clone(), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

proptest! {
    #![proptest_config(fuzz::cases())]

    #[test]
    fn fuzz_a_docker_config_of_any_shape_is_read_or_refused(text in prop_oneof![documents(), ".{0,200}"]) {
        let key = CredentialKey::new("ghcr.io", "org/demo");
        let parsed = [DockerConfig::parse(text.as_bytes()), DockerConfig::parse_legacy(text.as_bytes())];
        for config in parsed.into_iter().flatten() {
            _ = config.helper(&key);
            _ = config.credentials(&key);
        }
    }

    #[test]
    fn fuzz_credentials_are_read_as_they_were_written(user in "[^:]{1,20}", password in ".{0,40}[!-~]") {
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let text = format!(r#"{{"auths": {{"ghcr.io": {{"auth": "{auth}"}}}}}}"#);
        prop_assert_eq!(read(&text), Ok(Some(Credentials::basic(user, password))));
    }
}
