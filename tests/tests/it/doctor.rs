//! `hoist doctor`: a line for each check, which says what is wrong and what to do.

use std::path::Path;

use hoist_testkit::{Fault, MockRegistry, On};
use hoist_tests::{Certified, Output, Registry, TlsFront, hoist, hoist_with};
use serde_json::Value;
use tempfile::TempDir;

/// `doctor` found something wrong.
const UNWELL: i32 = 15;

/// The command, for a registry. Where a port without a listener is known, mocked registries keep their threads.
async fn doctor(registry: &str, variables: &'static [(&'static str, &'static str)]) -> (Output, Vec<Value>) {
    let registry = format!("--registry={registry}");
    let run = move || {
        let dir = TempDir::new().unwrap();
        let variables = variables.iter().map(|(name, value)| (*name, Path::new(*value)));
        let usual = [("HOIST_REMOTE_RETRIES", Path::new("0")), ("HOIST_REMOTE_HOSTS_DIR", Path::new(""))];
        let variables = usual.into_iter().chain(variables).collect::<Vec<_>>();
        hoist_with(&variables, &dir.path().join("store"), &["--json", "doctor", &registry])
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let lines = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, lines)
}

#[track_caller]
fn found<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("no {check} in {lines:?}"))
}

/// The last check is the one that failed, with these words.
#[track_caller]
fn assert_ends_at(output: &Output, lines: &[Value], check: &str, words: &[&str]) {
    let last = lines.last().unwrap();
    assert_eq!((last["check"].as_str(), &last["ok"]), (Some(check), &Value::Bool(false)), "{lines:?}");
    for word in words {
        assert!(last["detail"].as_str().unwrap().contains(word), "no {word:?} in {last}");
    }
    assert_eq!(output.code, UNWELL, "{output:?}");
}

#[test]
fn without_a_registry_this_machine_is_checked_and_no_store_is_created() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("store");
    let output = hoist(&root, &["doctor"]);
    let checks =
        ["store", "file system", "writing", "room", "links", "openat2", "clock", "proxies", "certificates"];
    for check in checks {
        assert!(output.stdout.lines().any(|line| line.contains(check)), "no {check} in {}", output.stdout);
    }
    assert!(
        output.stdout.lines().all(|line| line.starts_with("ok ") || line.starts_with("WRONG")),
        "{output:?}"
    );
    assert!(dir.path().read_dir().unwrap().next().is_none(), "nothing is left behind");
}

#[test]
fn what_is_wrong_with_this_machine_is_said_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let (file, hosts) = (dir.path().join("file"), dir.path().join("certs.d"));
    std::fs::create_dir_all(hosts.join("registry.lan")).unwrap();
    std::fs::write(hosts.join("registry.lan/ca.crt"), "no certificate").unwrap();
    std::fs::write(&file, "").unwrap();
    let variables = [
        ("HOIST_REMOTE_HOSTS_DIR", hosts.as_path()),
        ("HTTPS_PROXY", Path::new("http://me:secret@proxy.lan:port")),
        ("SSL_CERT_FILE", file.as_path()),
    ];
    let output = hoist_with(&variables, &file.join("store"), &["doctor"]);
    assert_eq!(output.code, UNWELL, "{output:?}");
    let wrong = |check: &str, words: &[&str]| {
        let line = output.stdout.lines().find(|line| line.starts_with("WRONG") && line.contains(check));
        let line = line.unwrap_or_else(|| panic!("{check} is fine in {}", output.stdout));
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
    };
    wrong("store", &["is no directory", "--root"]);
    wrong("proxies", &["HTTPS_PROXY", "write it as"]);
    wrong("certificates", &["SSL_CERT_FILE", "ca-certificates"]);
    wrong("hosts", &["ca.crt", "has no certificate"]);
    assert!(!output.stdout.contains("secret"), "{}", output.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_to_a_real_registry_is_fine() {
    let registry = Registry::start();
    let (_, lines) = doctor(registry.host(), &[]).await;
    for check in ["registry", "name", "connection", "TLS", "/v2/", "challenge", "credentials", "token"] {
        assert_eq!(found(&lines, check)["ok"], true, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_that_fails_is_the_last_and_says_what_to_do() {
    let (output, lines) = doctor("not a registry", &[]).await;
    assert_ends_at(&output, &lines, "registry", &["host:port"]);

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (output, lines) = doctor(&free.to_string(), &[]).await;
    assert_ends_at(&output, &lines, "connection", &["refused", "firewall"]);

    let mock = MockRegistry::start().await;
    let port = mock.server().address().port();
    let (output, lines) = doctor(&format!("0.0.0.0:{port}"), &[]).await;
    assert_ends_at(&output, &lines, "TLS", &["does not speak TLS", "--plain-http"]);

    let front = TlsFront::start_at("0.0.0.0", &Certified::by_itself("0.0.0.0"), None, &mock.host()).await;
    let (output, lines) = doctor(&front.host(), &[]).await;
    assert_ends_at(&output, &lines, "TLS", &["not trusted here"]);

    mock.fail(On::Everything, Fault::Status(404));
    let (output, lines) = doctor(&mock.host(), &[]).await;
    assert_ends_at(&output, &lines, "/v2/", &["404", "address of a registry"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_shown_and_credentials_without_their_secret() {
    let mock = MockRegistry::start().await;
    mock.fail(On::Everything, Fault::Challenge("Basic realm=\"registry\"".into()));
    let (output, lines) = doctor(&mock.host(), &[]).await;
    assert!(found(&lines, "challenge")["detail"].as_str().unwrap().contains("basic"), "{lines:?}");
    assert!(found(&lines, "credentials")["detail"].as_str().unwrap().contains("none"), "{lines:?}");
    assert_ends_at(&output, &lines, "token", &["hoist login"]);
}
