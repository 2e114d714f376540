//! Credentials as users have stored them: found where docker and podman keep them, and read only when they are needed.

use std::os::unix::fs::symlink;
use std::time::Duration;

use hoist_core::ErrorKind;
use hoist_remote::{Credentials, Keychain, Login, RemoteRegistry};
use hoist_testkit::{Auth, Home, Image, Tokens};

use crate::setup::{SECRET, Setup, assert_no_secret, fails, pull, refused};

/// `me` and the secret, as files have them.
const AUTH: &str = "bWU6Y2FuYXJ5";

/// A registry that wants me, by basic authentication; and a home with nothing in it.
async fn private() -> (Setup, String, Home) {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::basic("me", SECRET));
    (setup, reference, Home::new())
}

/// Who has this home.
fn registry(setup: &Setup, home: &Home) -> RemoteRegistry {
    setup.registry().with_keychain(Keychain::with_variables(home.lookup()))
}

/// Who has this home, and these variables.
fn registry_with(setup: &Setup, home: &Home, variables: &[(&str, String)]) -> RemoteRegistry {
    let (lookup, variables) = (home.lookup(), owned(variables));
    setup.registry().with_keychain(Keychain::with_variables(move |name| {
        let set = variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.into());
        set.or_else(|| lookup(name))
    }))
}

fn owned(variables: &[(&str, String)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A file with credentials under this key.
fn file_for(key: &str, auth: &str) -> String {
    format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}, "psFormat": "x"}}"#)
}

#[tokio::test]
async fn credentials_are_found_where_docker_and_podman_keep_them() {
    let (setup, reference, _) = private().await;
    let host = setup.mock.host();
    for place in [".docker/config.json", "run/containers/auth.json", ".config/containers/auth.json"] {
        let home = Home::new();
        home.write(place, &file_for(&host, AUTH));
        pull(&registry(&setup, &home), &reference).await;
    }
    let home = Home::new();
    home.write(".dockercfg", &format!(r#"{{"{host}": {{"auth": "{AUTH}"}}}}"#));
    pull(&registry(&setup, &home), &reference).await;
}

#[tokio::test]
async fn credentials_are_found_where_the_environment_says() {
    let (setup, reference, home) = private().await;
    let file = file_for(&setup.mock.host(), AUTH);
    home.write("elsewhere/config.json", &file);
    let elsewhere = home.path().join("elsewhere").display().to_string();
    for (variable, value) in [
        ("DOCKER_CONFIG", elsewhere.clone()),
        ("REGISTRY_AUTH_FILE", format!("{elsewhere}/config.json")),
        ("DOCKER_AUTH_CONFIG", file),
    ] {
        pull(&registry_with(&setup, &home, &[(variable, value)]), &reference).await;
    }
}

#[tokio::test]
async fn the_file_that_registry_auth_file_names_is_the_only_one() {
    let (setup, reference, home) = private().await;
    home.write_docker_config(&file_for(&setup.mock.host(), AUTH));
    home.write("other.json", "{}");
    for (file, words) in [("other.json", &["401"][..]), ("none.json", &["there is no", "none.json"][..])] {
        let file = home.path().join(file).display().to_string();
        let registry = registry_with(&setup, &home, &[("REGISTRY_AUTH_FILE", file)]);
        fails(&registry, &reference, ErrorKind::Unauthorized, words).await;
    }
}

#[tokio::test]
async fn the_key_with_the_longest_path_that_fits_counts() {
    let (setup, _, home) = private().await;
    let deep = setup.mock.publish("team/demo", "v1", Image::sample(1));
    let other = setup.mock.publish("other/demo", "v1", Image::sample(2));
    let host = setup.mock.host();
    let wrong = "eW91Om90aGVy"; // you:other
    home.write_docker_config(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "{wrong}"}}, "{host}/team": {{"auth": "{AUTH}"}},
            "{host}/team/demo2": {{"auth": "{wrong}"}}}}}}"#
    ));
    pull(&registry(&setup, &home), &deep).await;
    fails(&registry(&setup, &home), &other, ErrorKind::Unauthorized, &["config.json were refused"]).await;
}

#[tokio::test]
async fn what_the_program_was_given_goes_before_what_is_stored() {
    let (setup, reference, home) = private().await;
    home.write_docker_config(&file_for(&setup.mock.host(), "eW91Om90aGVy"));
    let mine = Credentials::basic("me", SECRET);
    pull(
        &registry(&setup, &home).with_options(|options| options.with_credentials(setup.mock.host(), mine)),
        &reference,
    )
    .await;
}

#[tokio::test]
async fn nothing_is_looked_up_before_a_registry_asks() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let keychain = Keychain::with_variables(|name| panic!("{name} was looked up"));
    let registry = setup.registry().with_keychain(keychain);
    pull(&registry, &reference).await;
    pull(&registry, &reference).await;
}

#[tokio::test]
async fn an_identity_token_gets_tokens_by_post_or_where_that_is_refused_by_get() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let home = Home::new();
    let host = setup.mock.host();
    home.write_docker_config(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "bWU6", "identitytoken": "canary"}}}}}}"#
    ));
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.hand_out(Tokens::default().with_identity(SECRET));
    pull(&registry(&setup, &home), &reference).await;
    let posted = setup.mock.requests().into_iter().find(|seen| seen.method == "POST").unwrap();
    let field =
        |name: &str| posted.form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(field("grant_type"), Some("refresh_token"));
    assert_eq!(field("scope"), Some("repository:demo:pull"));
    assert_eq!(field("service"), Some("mock"));
    for status in [400, 401, 404, 405] {
        setup.mock.require(Auth::token("me", SECRET));
        setup.mock.hand_out(Tokens::default().refusing("POST", status));
        pull(&registry(&setup, &home), &reference).await;
    }
}

#[tokio::test]
async fn a_registry_token_is_shown_to_the_registry_itself() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("you", "other"));
    let token = setup.mock.issue_token("repository:demo:pull");
    let home = Home::new();
    home.write_docker_config(&format!(
        r#"{{"auths": {{"{}": {{"registrytoken": "{token}"}}}}}}"#,
        setup.mock.host()
    ));
    pull(&registry(&setup, &home), &reference).await;
    assert_eq!(setup.mock.counts().token_requests, 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_does_not_break_a_public_pull_and_is_named_in_a_private_one() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let host = setup.mock.host();
    for text in ["{", r#"{"auths": ["canary"]}"#, &file_for(&host, "canary"), "\u{0}"] {
        let home = Home::new();
        home.write_docker_config(text);
        setup.mock.require(Auth::AnonymousToken);
        pull(&registry(&setup, &home), &reference).await;
        setup.mock.require(Auth::token("me", SECRET));
        let other = setup.mock.publish("private", "v1", Image::sample(2));
        let words = ["401", "config.json cannot be read"];
        fails(&registry(&setup, &home), &other, ErrorKind::Unauthorized, &words).await;
    }
}

#[tokio::test]
async fn a_fifo_in_the_place_of_a_file_keeps_nobody_waiting() {
    let (setup, reference, home) = private().await;
    home.write("x", "");
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.docker_config(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    fails(&registry(&setup, &home), &reference, ErrorKind::Unauthorized, &["it is not a file"]).await;
}

#[tokio::test]
async fn a_helper_is_asked_for_its_host_and_the_store_for_all_others() {
    let (setup, reference, home) = private().await;
    let host = setup.mock.host();
    let (own, all) = (home.helper("own"), home.helper("all"));
    home.write_docker_config(&format!(r#"{{"credHelpers": {{"{host}": "own"}}, "credsStore": "all"}}"#));
    own.keep_login(&host, "me", SECRET);
    pull(&registry(&setup, &home), &reference).await;
    assert_eq!((own.asked(), all.asked()), (vec![format!("get {host}")], vec![]));

    home.write_docker_config(r#"{"credHelpers": {"other.example.com": "own"}, "credsStore": "all"}"#);
    all.keep_login(&host, "me", SECRET);
    pull(&registry(&setup, &home), &setup.mock.publish("other", "v1", Image::sample(2))).await;
    assert_eq!((own.asked().len(), all.asked()), (1, vec![format!("get {host}")]));
}

#[tokio::test]
async fn a_helper_that_says_token_gives_an_identity_token() {
    let (setup, reference, home) = private().await;
    setup.mock.require(Auth::token("me", "other"));
    setup.mock.hand_out(Tokens::default().with_identity(SECRET));
    home.write_docker_config(r#"{"credsStore": "all"}"#);
    home.helper("all").keep_login(&setup.mock.host(), "<token>", SECRET);
    pull(&registry(&setup, &home), &reference).await;
}

/// As by ECR, whose passwords are good for twelve hours.
#[tokio::test]
async fn what_a_helper_gave_is_asked_for_anew_when_it_is_refused() {
    for (before, after) in [
        (Auth::basic("me", "old"), Auth::basic("me", SECRET)),
        (Auth::token("me", "old"), Auth::token("me", SECRET)),
    ] {
        let (setup, reference, home) = private().await;
        let helper = home.helper("all");
        home.write_docker_config(r#"{"credsStore": "all"}"#);
        helper.keep_login(&setup.mock.host(), "me", "old");
        setup.mock.require(before);
        let registry = registry(&setup, &home);
        pull(&registry, &reference).await;
        let other = setup.mock.publish("other", "v1", Image::sample(2));
        pull(&registry, &other).await;
        assert_eq!(helper.asked().len(), 1, "what it said still holds");

        helper.keep_login(&setup.mock.host(), "me", SECRET);
        setup.mock.require(after);
        let moved = setup.mock.publish("demo", "v1", Image::sample(3));
        pull(&registry, &moved).await;
        assert_eq!(helper.asked().len(), 2);
    }
}

/// indexable-inc/index#2954.
/// As Docker's registry, zot and Harbor hide a private repository.
#[tokio::test]
async fn a_repository_that_is_hidden_from_nobody_is_found_with_stored_credentials() {
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        for status in [404, 403] {
            let (setup, reference, home) = private().await;
            home.write_docker_config(&file_for(&setup.mock.host(), AUTH));
            setup.mock.require(auth.clone().hidden(status));
            pull(&registry(&setup, &home), &reference).await;
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_asked_for_once_and_credentials_are_shown_to_a_registry_that_asks_for_them_only() {
    let (setup, _, home) = private().await;
    let missing = format!("{}/demo:missing", setup.mock.host());
    setup.mock.require(Auth::basic("me", SECRET).hidden(404));
    // Without credentials, `/v2/` is not asked.
    fails(&registry(&setup, &home), &missing, ErrorKind::NotFound, &["404"]).await;
    assert!(setup.mock.requests().iter().all(|request| request.path != "/v2/"));
    // With credentials for a registry that asks for none, they are not shown.
    home.write_docker_config(&file_for(&setup.mock.host(), AUTH));
    setup.mock.require(Auth::Open);
    let registry = registry(&setup, &home);
    for _ in 0..2 {
        fails(&registry, &missing, ErrorKind::NotFound, &["404"]).await;
    }
    let requests = setup.mock.requests();
    assert_eq!(requests.iter().filter(|request| request.path == "/v2/").count(), 1);
    assert!(requests.iter().all(|request| request.authorization.is_none()));
}

/// As by ECR, which answers an expired password with 403.
#[tokio::test]
async fn what_a_helper_gave_is_asked_for_anew_when_it_is_forbidden() {
    for (before, after) in [
        (Auth::basic("me", "old"), Auth::basic("me", SECRET).hidden(403)),
        (Auth::token("me", "old"), Auth::token("me", SECRET).hidden(403)),
    ] {
        let (setup, reference, home) = private().await;
        let helper = home.helper("all");
        home.write_docker_config(r#"{"credsStore": "all"}"#);
        helper.keep_login(&setup.mock.host(), "me", "old");
        setup.mock.require(before);
        let registry = registry(&setup, &home);
        pull(&registry, &reference).await;
        helper.keep_login(&setup.mock.host(), "me", SECRET);
        setup.mock.require(after);
        pull(&registry, &setup.mock.publish("demo", "v1", Image::sample(3))).await;
        assert_eq!(helper.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_credential_helper_that_is_not_installed_must_not_break_a_public_pull() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let home = Home::new();
    home.write_docker_config(r#"{"credsStore": "missing"}"#);
    setup.mock.require(Auth::AnonymousToken);
    pull(&registry(&setup, &home), &reference).await;
    let other = setup.mock.publish("private", "v1", Image::sample(2));
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        setup.mock.require(auth);
        let words = ["401", "docker-credential-missing is not installed", "config.json"];
        fails(&registry(&setup, &home), &other, ErrorKind::Unauthorized, &words).await;
    }
}

#[tokio::test]
async fn a_helper_that_fails_must_not_break_a_public_pull_and_is_named_in_a_private_one() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let other = setup.mock.publish("private", "v1", Image::sample(2));
    for (says, words) in [
        ("the cloud is down\n", &["docker-credential-all failed", "the cloud is down"][..]),
        ("{\"Secret\":\"canary\"}", &["docker-credential-all failed"][..]),
        ("", &["docker-credential-all failed"][..]),
    ] {
        let home = Home::new();
        home.write_docker_config(r#"{"credsStore": "all"}"#);
        home.helper("all").fail(says);
        setup.mock.require(Auth::AnonymousToken);
        pull(&registry(&setup, &home), &reference).await;
        setup.mock.require(Auth::token("me", SECRET));
        fails(&registry(&setup, &home), &other, ErrorKind::Unauthorized, words).await;
    }
}

#[tokio::test]
async fn a_helper_that_answers_nonsense_fails() {
    let (setup, reference, home) = private().await;
    let helper = home.helper("all");
    home.write_docker_config(r#"{"credsStore": "all"}"#);
    for answer in ["canary", "[\"canary\"]", r#"{"Username":"me","Secret":["canary"]}"#] {
        helper.keep(&setup.mock.host(), answer);
        let words = ["docker-credential-all answered what is no credentials"];
        fails(&registry(&setup, &home), &reference, ErrorKind::Unauthorized, &words).await;
    }
    helper.keep(&setup.mock.host(), &"x".repeat(2 << 20));
    let words = ["docker-credential-all answered without end"];
    fails(&registry(&setup, &home), &reference, ErrorKind::Unauthorized, &words).await;
}

#[tokio::test]
async fn a_helper_that_hangs_is_ended_with_all_that_it_started() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let home = Home::new();
    home.write_docker_config(r#"{"credsStore": "all"}"#);
    home.helper("all").hang();
    setup.mock.require(Auth::AnonymousToken);
    let keychain = Keychain::with_variables(home.lookup()).with_helper_timeout(Duration::from_millis(200));
    let registry = setup.registry().with_keychain(keychain);
    pull(&registry, &reference).await;
    setup.mock.require(Auth::token("me", SECRET));
    let other = setup.mock.publish("private", "v1", Image::sample(2));
    fails(&registry, &other, ErrorKind::Unauthorized, &["did not answer in 200ms, and was ended"]).await;
    assert_eq!(processes_of(home.path()), [""; 0]);
}

/// The command lines of all processes that name this directory.
fn processes_of(directory: &std::path::Path) -> Vec<String> {
    let of_directory = format!("{}/", directory.display());
    let processes =
        std::fs::read_dir("/proc").unwrap().map(|process| process.unwrap().path().join("cmdline"));
    let lines = processes.filter_map(|line| std::fs::read_to_string(line).ok());
    lines.filter(|line| line.contains(&of_directory)).collect()
}

/// CVE-2021-41092.
#[tokio::test]
async fn a_broken_helper_never_sends_one_registrys_credentials_to_another() {
    let (setup, reference, home) = private().await;
    let host = setup.mock.host();
    home.write_docker_config(&format!(
        r#"{{"auths": {{"other.example.com": {{"auth": "{AUTH}"}}, "https://index.docker.io/v1/": {{"auth": "{AUTH}"}}}},
            "credHelpers": {{"{host}": "broken", "third.example.com": "good"}}}}"#
    ));
    let (broken, good) = (home.helper("broken"), home.helper("good"));
    good.keep_login(&host, "me", SECRET);
    good.keep_login("third.example.com", "me", SECRET);
    broken.keep(&host, r#"{"ServerURL":"other.example.com","Username":"me","Secret":"canary"}"#);
    let words = ["docker-credential-broken answered with another registry's credentials"];
    fails(&registry(&setup, &home), &reference, ErrorKind::Unauthorized, &words).await;
    broken.fail("out of order");
    refused(&registry(&setup, &home), &reference).await;
    assert_eq!(good.asked(), [""; 0], "it is not configured for this host");
    assert!(setup.mock.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// CVE-2025-15558.
#[tokio::test]
async fn a_helper_name_that_could_be_a_path_is_refused() {
    let (setup, reference, home) = private().await;
    let helper = home.helper("x");
    helper.keep_login(&setup.mock.host(), "me", SECRET);
    let directory = home.path().join("helpers/x");
    symlink(&directory, directory.join("docker-credential-a")).unwrap();
    for name in ["../x", "a/docker-credential-x", "a/b", "x\\n", "x\\u0000", " x", "x y", "$x", "..\\\\x"] {
        home.write_docker_config(&format!(r#"{{"credsStore": "{name}"}}"#));
        let words = ["is not the name of a credential helper"];
        fails(&registry(&setup, &home), &reference, ErrorKind::Unauthorized, &words).await;
    }
    assert_eq!(helper.asked(), [""; 0]);
}

#[tokio::test]
async fn a_helper_is_run_from_no_directory_but_those_of_the_path() {
    let (setup, reference, home) = private().await;
    let helper = home.helper("all");
    helper.keep_login(&setup.mock.host(), "me", SECRET);
    home.write_docker_config(r#"{"credsStore": "all"}"#);
    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let relative = format!("{}{}/helpers/all", "../".repeat(depth), &home.path().display().to_string()[1..]);
    assert!(std::path::Path::new(&relative).exists());
    for path in [relative, String::new(), ".".to_owned()] {
        let registry = registry_with(&setup, &home, &[("PATH", path)]);
        fails(&registry, &reference, ErrorKind::Unauthorized, &["is not installed"]).await;
    }
}

#[tokio::test]
async fn a_keychain_does_not_show_what_is_in_it() {
    let home = Home::new();
    home.write_docker_config(&file_for("ghcr.io", AUTH));
    assert_no_secret(&format!("{:?}", Keychain::with_variables(home.lookup())));
}

/// `base64` breaks its lines, mktemp makes empty files, and Go reads keys in any case.
#[tokio::test]
async fn a_file_of_another_program_is_read_as_that_program_reads_it() {
    let (setup, reference, home) = private().await;
    let host = setup.mock.host();
    let wrapped = format!(r"{}\n{}\n", &AUTH[..4], &AUTH[4..]);
    for text in [
        file_for(&host, &wrapped),
        format!("\u{feff}{}", file_for(&host, AUTH)),
        file_for(&host, AUTH).replace("auth", "Auth"),
        file_for(&host, AUTH).replace(r#""psFormat""#, r#""auths": {"quay.io": 7}, "credHelpers": 7, "x""#),
    ] {
        home.write(".docker/config.json", &text);
        pull(&registry(&setup, &home), &reference).await;
    }
}

/// Logs me in.
async fn login(setup: &Setup, home: &Home) {
    let login = Login::new(Keychain::with_variables(home.lookup()));
    login.login(&setup.mock.host(), &Credentials::basic("me", SECRET)).await.unwrap();
}

#[tokio::test]
async fn a_blank_file_has_no_credentials_for_a_pull_and_a_login_fills_it() {
    for blank in ["", " \n", "\u{feff}", "null", "{}", r#"{"auths": null}"#, r#"{"Auths": {}}"#] {
        let (setup, reference, home) = private().await;
        home.write(".docker/config.json", blank);
        let error = refused(&registry(&setup, &home), &reference).await;
        assert_eq!(*error.kind(), ErrorKind::Unauthorized);
        assert!(!error.report().contains("config.json"), "{}", error.report());
        login(&setup, &home).await;
        pull(&registry(&setup, &home), &reference).await;
    }
}

#[tokio::test]
async fn a_login_keeps_what_else_is_in_a_file() {
    let (setup, _, home) = private().await;
    let host = setup.mock.host();
    let before = format!(
        r#"{{"auths": {{"a.lan": {{"auth": "eDp5"}}}}, "Auths": {{"{host}": {{"auth": "b2xkOm9sZA=="}}, "b.lan": 7}}, "x": 1}}"#
    );
    home.write(".docker/config.json", &before);
    login(&setup, &home).await;
    let after = std::fs::read(home.path().join(".docker/config.json")).unwrap();
    let after: serde_json::Value = serde_json::from_slice(&after).unwrap();
    let expected = serde_json::json!({
        "auths": {"a.lan": {"auth": "eDp5"}, "b.lan": 7, host: {"auth": AUTH}}, "x": 1,
    });
    assert_eq!(after, expected);
}

#[tokio::test]
async fn an_identity_token_is_never_sent_as_a_password() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let (home, host) = (Home::new(), setup.mock.host());
    let entry = r#"{"auth": "bWU6", "identitytoken": "canary"}"#;
    home.write_docker_config(&format!(r#"{{"auths": {{"{host}": {entry}}}}}"#));
    setup.mock.require(Auth::basic("me", SECRET));
    let registry = setup.registry().with_keychain(Keychain::with_variables(home.lookup()));
    fails(&registry, &reference, ErrorKind::Unauthorized, &["the identity token of"]).await;
    let asked = setup.mock.server().received_requests().await.unwrap();
    assert!(asked.iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn a_login_after_a_registry_hid_a_repository_counts() {
    let (setup, reference, home) = private().await;
    setup.mock.require(Auth::basic("me", SECRET).hidden(404));
    let registry = registry(&setup, &home);
    fails(&registry, &reference, ErrorKind::NotFound, &["404"]).await;
    home.write_docker_config(&file_for(&setup.mock.host(), AUTH));
    pull(&registry, &reference).await;
}
