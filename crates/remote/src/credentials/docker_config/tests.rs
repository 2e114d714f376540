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
        r#"{"auths": {"ghcr.io": {"identitytoken": 7, "auth": "bWU6Y2FuYXJ5"}}}"#,
        r#"["canary"]"#,
        r#""canary""#,
        "canary",
        r#"{"auths": {"ghcr.io": {"auth": "canary"#,
        "\u{feff}canary",
    ] {
        let wrong = read(text).unwrap_err();
        assert!(!wrong.contains("canary") && !wrong.contains("Y2Fu"), "{wrong}");
        assert!(["ghcr.io", "line", "`auths`"].iter().any(|place| wrong.contains(place)), "{wrong}");
    }
}

/// Go finds keys in any case, joins objects that are there twice, and decodes base64 with line ends in it.
#[test]
fn a_file_is_read_as_the_programs_read_it_that_wrote_it() {
    let auth = r#"{"ghcr.io": {"auth": "bWU6cGE6c3M="}}"#;
    for text in [
        format!(r#"{{"Auths": {auth}}}"#),
        format!(r#"{{"AUTHS": {auth}, "credsstore": null}}"#),
        format!(r#"{{"auths": {auth}, "auths": {{"quay.io": {{}}}}}}"#),
        format!(r#"{{"auths": {{"quay.io": {{}}}}, "Auths": {auth}}}"#),
        format!(r#"{{"auths": {auth}, "auths": null}}"#),
        format!("\u{feff}{{\"auths\": {auth}}}\r\n"),
        format!(r#"{{"auths": {auth}}}}} and what an interrupted program left"#),
        r#"{"auths": {"ghcr.io": {"Auth": "bWU6cGE6c3M="}}}"#.to_owned(),
        r#"{"auths": {"ghcr.io": {"auth": "bWU6\ncGE6\r\nc3M=\n"}}}"#.to_owned(),
        r#"{"auths": {"ghcr.io": {"auth": "bWU6eA==", "auth": "bWU6cGE6c3M="}}}"#.to_owned(),
        r#"{"auths": {"ghcr.io": {"auth": "bWU6cGE6c3M=", "auth": null}}}"#.to_owned(),
        r#"{"auths": {"ghcr.io": {"auth": "eDp5"}, "ghcr.io": {"auth": "bWU6cGE6c3M="}}}"#.to_owned(),
        r#"{"auths": {"ghcr.io": {"USERNAME": "me", "Password": "pa:ss"}}}"#.to_owned(),
    ] {
        assert_eq!(read(&text), Ok(Some(Credentials::basic("me", "pa:ss"))), "{text}");
    }
    for blank in ["", " ", "\n", "\u{feff}", "null", "{}"] {
        assert_eq!(read(blank), Ok(None), "{blank:?}");
    }
}

#[test]
fn what_is_wrong_with_one_part_does_not_spoil_another() {
    let mine = r#""ghcr.io": {"auth": "bWU6cGE6c3M="}"#;
    for other in ["null", "7", "[]", "true", r#""canary""#, r#"{"auth": 7}"#, r#"{"auth": "%"}"#] {
        for key in ["quay.io", "", "https://", "\u{1f9ea}"] {
            let text =
                format!(r#"{{"auths": {{"{key}": {other}, {mine}}}, "credHelpers": {{"{key}": {other}}}}}"#);
            assert_eq!(read(&text), Ok(Some(Credentials::basic("me", "pa:ss"))), "{text}");
        }
        for part in ["credHelpers", "credsStore", "proxies", "HttpHeaders"] {
            let text = format!(r#"{{"{part}": {other}, "auths": {{{mine}}}}}"#);
            assert_eq!(read(&text), Ok(Some(Credentials::basic("me", "pa:ss"))), "{text}");
        }
    }
    let config =
        DockerConfig::parse(br#"{"auths": 7, "credHelpers": {"quay.io": 7, "ghcr.io": "own"}}"#).unwrap();
    assert_eq!(config.helper(&CredentialKey::new("ghcr.io", "a")), Ok(Some("own".to_owned())));
    assert!(config.helper(&CredentialKey::new("quay.io", "a")).unwrap_err().contains("quay.io"));
    assert_eq!(config.credentials(&CredentialKey::new("ghcr.io", "a")), Err("`auths`".to_owned()));
}

#[test]
fn a_helper_is_for_its_host_and_the_store_for_all_others() {
    let text =
        r#"{"credHelpers": {"ghcr.io": "own", "https://index.docker.io/v1/": "hub"}, "credsStore": "all"}"#;
    let config = DockerConfig::parse(text.as_bytes()).unwrap();
    for (host, helper) in [("ghcr.io", "own"), ("docker.io", "hub"), ("quay.io", "all")] {
        assert_eq!(config.helper(&CredentialKey::new(host, "a/b")), Ok(Some(helper.to_owned())));
    }
    let config = DockerConfig::parse(br#"{"credHelpers": {"ghcr.io": "own"}, "credsStore": ""}"#).unwrap();
    assert_eq!(config.helper(&CredentialKey::new("quay.io", "a/b")), Ok(None));
    assert_eq!(config.helper(&CredentialKey::new("ghcr.io.evil.com", "a/b")), Ok(None));
}

#[test]
fn the_format_before_there_were_auths_is_read() {
    let config = DockerConfig::parse_legacy(br#"{"https://index.docker.io/v1/": {"auth": "bWU6eA=="}}"#);
    let found = config.unwrap().credentials(&CredentialKey::new("docker.io", "library/nginx"));
    assert_eq!(found, Ok(Some(Credentials::basic("me", "x"))));
}

/// What may stand in the place of a text.
const ODD: [&str; 8] = ["null", r#""""#, "7", "[]", "{}", "true", r#""%""#, r#"["canary"]"#];

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

    /// A good file with one part made odd: the credentials are those that were written, or an error names the part.
    #[test]
    fn fuzz_an_odd_part_never_gives_other_credentials(
        (at, odd) in (0..6_usize, prop::sample::select(&ODD[..])), twice: bool, upper: bool,
    ) {
        prop_assume!(!(matches!(at, 0 | 4) && odd == r#""%""#)); // any text is a token
        let mut parts = [
            r#""identitytoken": """#, r#""username": "other""#, r#""password": "other""#, r#""email": "a@b""#,
            r#""registrytoken": """#, r#""auth": "bWU6cGE6c3M=""#,
        ].map(str::to_owned);
        let key = parts[at].split_once(':').unwrap().0.to_owned();
        let key = if upper { key.to_ascii_uppercase() } else { key };
        parts[at] = if twice { format!("{}, {key}: {odd}", parts[at]) } else { format!("{key}: {odd}") };
        let text = format!(r#"{{"auths": {{"quay.io": {odd}, "ghcr.io": {{{}}}}}}}"#, parts.join(", "));
        match read(&text) {
            Ok(Some(found)) if found == Credentials::basic("me", "pa:ss") => {}
            // Without an `auth`, the name and the password count.
            Ok(Some(found)) => prop_assert!(at == 5 && found == Credentials::basic("other", "other"), "{text}"),
            Ok(None) => prop_assert!(false, "{text}"),
            Err(wrong) => prop_assert!(wrong.contains("ghcr.io"), "{wrong} of {text}"),
        }
    }

    #[test]
    fn fuzz_a_file_that_is_cut_off_is_an_error_or_blank(length in 0..60_usize) {
        let text = r#"{"auths": {"ghcr.io": {"auth": "bWU6cGE6c3M="}}, "x": 1}"#;
        let length = length.min(text.len() - 1);
        let outcome = read(&text[..length]);
        prop_assert!(if length == 0 { outcome == Ok(None) } else { outcome.is_err() }, "{length}: {outcome:?}");
    }

    #[test]
    fn fuzz_credentials_are_read_as_they_were_written(user in "[^:]{1,20}", password in "([!-~].{0,40})?[!-~]") {
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let text = format!(r#"{{"auths": {{"ghcr.io": {{"auth": "{auth}"}}}}}}"#);
        prop_assert_eq!(read(&text), Ok(Some(Credentials::basic(user, password))));
    }
}
