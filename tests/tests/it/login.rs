//! Logging in and out with the command: what is checked, what is stored for whom, and what stays as it was.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use hoist_testkit::{Auth, Fault, Home, Image, MockRegistry, On};
use hoist_tests::{Authority, Output, TlsFront, hoist_at_home, hoist_binary, in_parallel};
use serde_json::{Value, json};

const SECRET: &str = "canary";
/// `me` and the secret, in base64.
const AUTH: &str = "bWU6Y2FuYXJ5";

/// A mocked registry that wants me, and a user's home.
struct Setup {
    mock: MockRegistry,
    home: Home,
}

impl Setup {
    async fn new() -> Self {
        let mock = MockRegistry::start().await;
        mock.require(Auth::token("me", SECRET));
        Self { mock, home: Home::new() }
    }

    fn login(&self, password: &str) -> Output {
        self.hoist(&["login", "--username=me", "--password-stdin", &self.mock.host()], password)
    }

    /// A login with a configuration file that says this.
    fn login_with(&self, config: &str, registry: &str) -> Output {
        self.home.write("hoist.toml", config);
        let config = self.home.path().join("hoist.toml");
        let arguments = ["login", "--username=me", "--password-stdin", registry, "--config"];
        self.hoist(&[&arguments[..], &[config.to_str().unwrap()]].concat(), SECRET)
    }

    /// A logout with a configuration file that says this.
    fn logout_with(&self, config: &str) -> Output {
        self.home.write("hoist.toml", config);
        let config = self.home.path().join("hoist.toml");
        let output = self.hoist(&["logout", &self.mock.host(), "--config", config.to_str().unwrap()], "");
        output.ok();
        output
    }

    fn hoist(&self, arguments: &[&str], input: &str) -> Output {
        let output = hoist_at_home(&self.home, &[("HOIST_LOG", "trace")], arguments, input);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!said.contains(SECRET) && !said.contains(AUTH), "{said}");
        output
    }

    fn config(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.home.docker_config()).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_stored_for_docker_and_only_for_its_owner_and_serves_the_next_pull() {
    for auth in [Auth::token("me", SECRET), Auth::basic("me", SECRET)] {
        let setup = Setup::new().await;
        setup.mock.require(auth);
        let reference = setup.mock.publish("demo", "v1", Image::sample(1));
        let said = setup.login(&format!("{SECRET}\n"));
        assert!(said.ok().contains("config.json"), "{}", said.stdout);
        let host = setup.mock.host();
        assert_eq!(setup.config(), json!({"auths": {host: {"auth": AUTH}}}));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&setup.home.docker_config()), 0o600);
        assert_eq!(mode(setup.home.docker_config().parent().unwrap()), 0o700);
        setup.hoist(&["pull", "--quiet", "--platform=linux/amd64", &reference], "").ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_registry_does_not_take_are_not_stored() {
    let setup = Setup::new().await;
    for auth in
        [Auth::token("me", SECRET), Auth::basic("me", SECRET), Auth::public_token("me", SECRET, false)]
    {
        setup.mock.require(auth);
        let refused = setup.login("wrong");
        assert_eq!(refused.code, 5, "{}", refused.stderr);
        assert!(refused.stderr.contains("cannot log in to"), "{}", refused.stderr);
        assert!(!setup.home.docker_config().exists());
    }
    setup.mock.require(Auth::Open);
    setup.mock.fail(On::Everything, Fault::Status(404));
    assert_eq!(setup.login(SECRET).code, 10);
    setup.mock.go_down().await;
    assert_eq!(setup.login(SECRET).code, 7);
    assert!(!setup.home.docker_config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_trusts_whom_a_pull_trusts() {
    let setup = Setup::new().await;
    setup.mock.require(Auth::basic("me", SECRET));
    let authority = Authority::new();
    // Not one of this machine's loopback names, which are spoken to without TLS.
    let front = TlsFront::start_at("0.0.0.0", &authority.certify("0.0.0.0"), None, &setup.mock.host()).await;
    let hosts = setup.home.path().join("hosts");
    fs::create_dir_all(hosts.join(front.host())).unwrap();
    authority.write(hosts.join(front.host()).join("ca.crt"));
    let refused = setup.login_with("[remote]\nhosts-dir = []\nretries = 0\n", &front.host());
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    setup.login_with(&format!("[remote]\nhosts-dir = {hosts:?}\n"), &front.host()).ok();
    assert_eq!(setup.config()["auths"][front.host()], json!({"auth": AUTH}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_tried_as_often_as_a_pull_is() {
    let setup = Setup::new().await;
    setup.mock.fail(On::Tokens, Fault::Status(503));
    let failed = setup.login_with("[remote]\nretries = 1\n", &setup.mock.host());
    assert_eq!(failed.code, 7, "{}", failed.stderr);
    let asked = setup.mock.requests();
    assert_eq!(asked.iter().filter(|seen| seen.path == "/token").count(), 2, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_tls_is_one_that_was_asked_for() {
    let setup = Setup::new().await;
    setup.mock.require(Auth::basic("me", SECRET));
    let registry = setup.mock.host().replace("127.0.0.1", "0.0.0.0");
    let refused = setup.login_with("[remote]\nretries = 0\n", &registry);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    setup.login_with(&format!("[remote]\nplain-http = [{registry:?}]\n"), &registry).ok();
    setup.hoist(&["login", "-u=me", "--password-stdin", "--plain-http", &registry], SECRET).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_there_is_no_login_but_a_logout() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    setup.login(SECRET).ok();
    setup.mock.forget_requests();
    let refused = setup.hoist(&["--offline", "login", "--username=me", "--password-stdin", &host], SECRET);
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    for word in ["cannot log in to", "`offline`"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
    }
    setup.hoist(&["--offline", "logout", &host], "").ok();
    assert_eq!(setup.config()["auths"], json!({}));
    assert_eq!(setup.mock.requests(), []);
    assert!(!setup.home.path().join("store").exists(), "nothing of it is about images");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_else_that_is_in_the_file_stays() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    let other = json!({"auth": "eDp5", "email": "x@example.com"});
    let before = json!({
        "auths": {"other.example.com": other, format!("https://{host}/v2/"): {"auth": "b2xkOm9sZA=="}, format!("{host}/team"): other},
        "HttpHeaders": {"X-Meta": "1"}, "psFormat": "table", "proxies": {"default": {"noProxy": null}}, "n": 1.5,
    });
    setup.home.write_docker_config(&before.to_string());
    fs::set_permissions(setup.home.docker_config(), fs::Permissions::from_mode(0o644)).unwrap();
    setup.login(SECRET).ok();
    let mut expected = before.clone();
    let auths = expected["auths"].as_object_mut().unwrap();
    auths.remove(&format!("https://{host}/v2/"));
    auths.insert(host.clone(), json!({"auth": AUTH}));
    assert_eq!(setup.config(), expected);
    assert_eq!(fs::metadata(setup.home.docker_config()).unwrap().permissions().mode() & 0o777, 0o600);

    setup.hoist(&["logout", &host], "").ok();
    expected["auths"].as_object_mut().unwrap().remove(&host);
    assert_eq!(setup.config(), expected);
    let files = fs::read_dir(setup.home.docker_config().parent().unwrap()).unwrap();
    assert_eq!(files.count(), 1, "nothing else is left there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_left_as_it_is() {
    let setup = Setup::new().await;
    for text in ["{\"auths\": ", "[]", r#"{"auths": ["canary"]}"#, r#"{"credsStore": 5}"#] {
        setup.home.write_docker_config(text);
        for output in [setup.login(SECRET), setup.hoist(&["logout", &setup.mock.host()], "")] {
            assert_eq!(output.code, 2, "{text}: {}", output.stderr);
            assert!(output.stderr.contains("config.json cannot be read"), "{}", output.stderr);
        }
        assert_eq!(fs::read_to_string(setup.home.docker_config()).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_file_stays_one() {
    let setup = Setup::new().await;
    setup.home.write("dotfiles/docker.json", "{}");
    fs::create_dir(setup.home.path().join(".docker")).unwrap();
    symlink("../dotfiles/docker.json", setup.home.docker_config()).unwrap();
    setup.login(SECRET).ok();
    assert!(setup.home.docker_config().is_symlink());
    assert_eq!(setup.config()["auths"][setup.mock.host()], json!({"auth": AUTH}));
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_auth_file_says_where_a_login_is_stored() {
    let setup = Setup::new().await;
    let file = setup.home.path().join("auth.json");
    let variables = [("REGISTRY_AUTH_FILE", file.to_str().unwrap())];
    let arguments = ["login", "--username=me", "--password-stdin", &setup.mock.host()];
    hoist_at_home(&setup.home, &variables, &arguments, SECRET).ok();
    assert!(fs::read_to_string(file).unwrap().contains(AUTH));
    assert!(!setup.home.docker_config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_helper_keeps_credentials_a_login_is_kept_by_it_and_a_logout_erases_it() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    let helper = setup.home.helper("all");
    let reference = setup.mock.publish("demo", "v1", Image::sample(1));
    for config in [json!({"credsStore": "all"}), json!({"credHelpers": {&host: "all"}})] {
        setup.home.write_docker_config(&config.to_string());
        let said = setup.login(SECRET);
        assert!(said.ok().contains("docker-credential-all"), "{}", said.stdout);
        let kept: Value = serde_json::from_str(&helper.kept(&host).unwrap()).unwrap();
        assert_eq!(kept, json!({"ServerURL": host, "Username": "me", "Secret": SECRET}));
        assert_eq!(setup.config()["auths"], json!({&host: {}}), "as docker has it, and no secret");
        setup.hoist(&["pull", "--quiet", "--platform=linux/amd64", &reference], "").ok();
        setup.hoist(&["logout", &host], "").ok();
        assert_eq!(helper.kept(&host), None);
        assert_eq!(setup.config()["auths"], json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_fails_keeps_nothing_and_the_file_stays_as_it_was() {
    let setup = Setup::new().await;
    let text = r#"{"credsStore": "all"}"#;
    setup.home.write_docker_config(text);
    let missing = setup.login(SECRET);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("docker-credential-all is not installed"), "{}", missing.stderr);
    setup.home.helper("all").fail("it is locked");
    let failed = setup.login(SECRET);
    assert_eq!(failed.code, 5);
    assert!(failed.stderr.contains("it is locked"), "{}", failed.stderr);
    assert_eq!(fs::read_to_string(setup.home.docker_config()).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_says_what_it_did_and_what_is_still_used() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    let none = setup.hoist(&["logout", &host], "");
    assert!(none.ok().contains("there was no login"), "{}", none.stdout);
    assert!(!setup.home.docker_config().exists(), "nothing was made");
    setup.login(SECRET).ok();
    setup.home.write(".config/containers/auth.json", &json!({"auths": {&host: {"auth": AUTH}}}).to_string());
    let json = setup.hoist(&["logout", "--json", &host], "");
    assert_eq!(serde_json::from_str::<Value>(json.ok()).unwrap(), json!({"registry": host, "removed": true}));
    assert!(json.stderr.contains(".config/containers/auth.json"), "{}", json.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_says_that_the_configuration_has_credentials() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    let given = format!("[remote.credentials.'{host}']\nusername = 'me'\npassword = '{SECRET}'\n");
    let left = setup.logout_with(&given);
    assert!(left.stderr.contains(&format!("{host} are still in `remote.credentials`")), "{}", left.stderr);
    let left = setup.logout_with(&format!("[remote]\nenabled = false\nkeychain = false\n{given}"));
    assert!(left.stderr.contains("still in `remote.credentials`"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_says_nothing_of_what_is_not_looked_at() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    setup.home.write(".config/containers/auth.json", &json!({"auths": {&host: {"auth": AUTH}}}).to_string());
    assert!(setup.logout_with("").stderr.contains(".config/containers/auth.json"));
    let silent = setup.logout_with("[remote]\nkeychain = false\n");
    assert!(!silent.stderr.contains("are still in"), "{}", silent.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_says_if_a_pull_will_not_use_it() {
    let setup = Setup::new().await;
    let host = setup.mock.host();
    let used = setup.login_with("", &host);
    assert!(!used.stderr.contains("do not use"), "{}", used.stderr);
    let given = format!("[remote.credentials.'{host}']\nusername = 'you'\npassword = 'other'\n");
    for (config, reason) in [
        (&*given, "others are in `remote.credentials` of the configuration, which goes before it"),
        ("[remote]\nkeychain = false\n", "`remote.keychain` is false"),
    ] {
        let unused = setup.login_with(config, &host);
        unused.ok();
        let said = format!("hoist: pulls do not use this login: {reason}\n");
        assert!(unused.stderr.ends_with(&said), "{}", unused.stderr);
    }
    let auths = json!({"auths": {&host: {"auth": AUTH}}}).to_string();
    let arguments = ["login", "--username=me", "--password-stdin", &host];
    let unused = hoist_at_home(&setup.home, &[("DOCKER_AUTH_CONFIG", &auths)], &arguments, SECRET);
    unused.ok();
    assert!(unused.stderr.contains("DOCKER_AUTH_CONFIG"), "{}", unused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_nothing_is_asked_for() {
    let setup = Setup::new().await;
    let no_user = setup.hoist(&["login", "--password-stdin", &setup.mock.host()], SECRET);
    assert_eq!(no_user.code, 2);
    assert!(no_user.stderr.contains("--username"), "{}", no_user.stderr);
    let empty = setup.login("\n");
    assert_eq!(empty.code, 2);
    let no_registry = setup.hoist(&["login", "--username=me", "--password-stdin", "a/b/c"], SECRET);
    assert_eq!(no_registry.code, 2, "{}", no_registry.stderr);
    assert_eq!(setup.mock.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_the_password_is_asked_for_and_not_shown() {
    let setup = Setup::new().await;
    let line = format!("{} login {}", hoist_binary().display(), setup.mock.host());
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .envs(setup.home.variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs; if it is missing: apt-get install bsdutils");
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let mut seen = String::new();
    for (prompt, answer) in [("Username", "me\n"), ("Password", "canary\n")] {
        while !seen.contains(prompt) || !seen.ends_with(": ") {
            let mut byte = [0];
            screen.read_exact(&mut byte).unwrap_or_else(|cause| panic!("{cause} after {seen:?}"));
            seen.push(byte[0].into());
        }
        keys.write_all(answer.as_bytes()).unwrap();
    }
    screen.read_to_string(&mut seen).unwrap();
    assert!(terminal.wait().unwrap().success(), "{seen}");
    assert!(seen.contains("logged in") && !seen.contains(SECRET), "{seen}");
    assert_eq!(setup.config()["auths"][setup.mock.host()], json!({"auth": AUTH}));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_logins_at_the_same_time_lose_none() {
    let setup = Setup::new().await;
    let mocks = futures_util::future::join_all((0..8).map(|_| MockRegistry::start())).await;
    let logins = in_parallel(&mocks, |mock| {
        let arguments = ["login", "--username=me", "--password-stdin", &mock.host()];
        Some(hoist_at_home(&setup.home, &[], &arguments, SECRET))
    });
    assert!(logins.iter().all(|login| login.code == 0), "{logins:?}");
    assert_eq!(setup.config()["auths"].as_object().unwrap().len(), mocks.len());
}
