//! `docs/errors.md`, made of what the command says: each kind of error is provoked, and its line is in the page.
//!
//! `HOIST_BLESS=1` writes the page; without it, the test fails where the page is not what the command says.

use std::fmt::Write;
use std::path::Path;

use hoist_testkit::{Auth, Fault, Image, Layer, MockRegistry, On};
use hoist_tests::{Output, hoist_with};
use tempfile::TempDir;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

/// What is done before the command runs.
enum Before {
    Nothing,
    Fails(On, Fault),
    AsksForCredentials,
    SendsHalfALayer,
    /// The image is pulled.
    IsStored,
}

/// A kind as callers match on it, its meaning, what to do, and how to get such an error.
struct Kind(&'static str, &'static str, &'static str, Before, &'static [&'static str]);

const PULL: &[&str] = &["pull", "HOST/acme/app:v1"];

#[rustfmt::skip]
fn on_this_machine() -> Vec<Kind> {
    use Before::{IsStored, Nothing};
    vec![
        Kind("InvalidReference", "a reference, digest or platform does not parse", "correct it",
            Nothing, &["pull", "acme/app@sha256:1234"]),
        Kind("InvalidConfig", "the configuration, an option or a file that it names is wrong",
            "correct it: [configuration.md](configuration.md) has every key",
            Nothing, &["--config=/dev/null/hoist.toml", "list"]),
        Kind("NoSpace", "the disk or the quota is full", "free some space: `hoist gc` deletes what nothing needs",
            IsStored, &["save", "HOST/acme/app:v1", "--output=/dev/full"]),
        Kind("Storage", "the disk fails, or the store is not as it should be",
            "check the disk and its permissions; `hoist fsck` checks a store",
            Nothing, &["--root=/dev/null/store", "pull", "HOST/acme/app:v1"]),
        Kind("Refused", "`admission` in the configuration does not allow the image",
            "change `admission`, or use an image that it allows",
            Nothing, &["--config=CONFIG", "pull", "HOST/acme/app:v1"]),
    ]
}

#[rustfmt::skip]
fn at_a_registry() -> Vec<Kind> {
    use Before::{AsksForCredentials, Fails, Nothing, SendsHalfALayer};
    let answer = |status| Fails(On::Everything, Fault::Status(status));
    let document = |kind: &str, body: &str| Fails(On::Manifests, Fault::Document(kind.to_owned(), body.to_owned()));
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+json";
    vec![
        Kind("NotFound", "the registry, or the store, has no such image",
            "check the name and the tag; `hoist tags REPO` lists the tags", Nothing, &["pull", "HOST/acme/app:v2"]),
        Kind("PlatformMissing", "the image is not made for this platform",
            "choose one of those that the line lists, with `--platform`",
            Nothing, &["--platform=linux/s390x", "pull", "HOST/acme/app:v1"]),
        Kind("Unauthorized", "the registry requires credentials, or rejects those that it got",
            "`hoist login`; [credentials.md](credentials.md) says where hoist looks for credentials",
            AsksForCredentials, PULL),
        Kind("Forbidden", "the credentials are valid, and do not allow this",
            "ask the registry's operator, or use other credentials", answer(403), PULL),
        Kind("RateLimited", "the registry got too many requests", "wait as long as the line says, or log in",
            Fails(On::Everything, Fault::TooManyRequests("3600".into())), PULL),
        Kind("Unavailable", "the registry cannot be reached, or fails",
            "check the name, the network and the proxies; try again later", answer(503), PULL),
        Kind("Tls", "the connection cannot be trusted",
            "the line says what is wrong; [hosts.md](hosts.md) says what hoist accepts",
            Nothing, &["pull", "TLS/acme/app:v1"]),
        Kind("DigestMismatch", "the bytes do not match their digest",
            "try again; if that does not help, look for a faulty proxy or registry",
            Fails(On::Blobs, Fault::FlippedBit), PULL),
        Kind("SizeMismatch", "there are more or fewer bytes than the manifest says",
            "try again; if that does not help, push the image again", SendsHalfALayer, PULL),
        Kind("Malformed", "a document is not valid, or is no manifest",
            "check that the address is a registry's; push the image again", document(oci, "{}"), PULL),
        Kind("TooLarge", "a document exceeds its maximum size", "check that the address is a registry's",
            document(oci, &" ".repeat(5 << 20)), PULL),
        Kind("Unsupported", "a format or feature that is not supported",
            "convert the image, or use a build that has the feature",
            document(schema_1, r#"{"schemaVersion":1,"fsLayers":[]}"#), PULL),
    ]
}

/// Runs the command. Returns what it said, as another user would see it.
async fn provoke(before: &Before, arguments: &'static [&'static str]) -> Output {
    let mock = MockRegistry::start().await;
    let image = Image::builder().platform("linux/amd64").layers([Layer::random(1000, 1)]).build();
    mock.publish("acme/app", "v1", image.clone());
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("hoist.toml"), "admission.deny = ['*']").unwrap();
    match before {
        Before::Nothing => {}
        Before::Fails(on, fault) => mock.fail(on.clone(), fault.clone()),
        Before::AsksForCredentials => {
            mock.require(Auth::Basic { user: "me".into(), password: "secret".into() });
        }
        Before::SendsHalfALayer => {
            mock.replace(&image.layers()[0].digest, image.layers()[0].bytes.slice(500..));
        }
        Before::IsStored => _ = run(&mock, &dir, PULL).await.ok(),
    }
    let output = run(&mock, &dir, arguments).await;
    let port = mock.server().address().port();
    let stderr = output
        .stderr
        .replace(&mock.host(), "registry.lan")
        .replace(&format!("0.0.0.0:{port}"), "registry.lan")
        .replace(", and said: as the test wants it", "");
    Output { stderr: stderr.replace(&dir.path().display().to_string(), "/etc/hoist"), ..output }
}

async fn run(mock: &MockRegistry, dir: &TempDir, arguments: &'static [&'static str]) -> Output {
    let tls = format!("0.0.0.0:{}", mock.server().address().port());
    let config = dir.path().join("hoist.toml").display().to_string();
    let fill =
        |text: &&str| text.replace("HOST", &mock.host()).replace("TLS", &tls).replace("CONFIG", &config);
    let arguments = arguments.iter().map(fill).collect::<Vec<_>>();
    let root = dir.path().join("store");
    let run = move || {
        let arguments =
            std::iter::once("--quiet").chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>();
        let usual = [("HOIST_REMOTE_RETRIES", Path::new("0")), ("HOIST_PLATFORM", Path::new("linux/amd64"))];
        hoist_with(&usual, &root, &arguments)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

const HEAD: &str = "# Errors

For users of the command, and for programs that match on `ErrorKind`. Each error is one line: what hoist was doing, why
it failed, and after the semicolon what to do.

A test makes this page of what the command says (`HOIST_BLESS=1 cargo test -p hoist-tests --test it errors_page::`).
`registry.lan` stands for the registry.

";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_errors_has_what_the_command_says() {
    let mut table = String::from("| kind | exit code | meaning | what to do |\n| --- | --- | --- | --- |\n");
    let mut lines = String::from("## Examples\n");
    for Kind(name, meaning, todo, before, arguments) in on_this_machine().into_iter().chain(at_a_registry()) {
        let Output { code, stderr, .. } = provoke(&before, arguments).await;
        assert!(code > 1, "{name}: {code} {stderr}");
        let line = stderr.lines().last().unwrap_or_default();
        _ = writeln!(table, "| `{name}` | {code} | {meaning} | {todo} |");
        _ = writeln!(lines, "\n`{name}`:\n\n```text\n{line}\n```");
    }
    let page = format!("{HEAD}{table}\n`hoist --help` lists all exit codes.\n\n{lines}");
    if std::env::var_os("HOIST_BLESS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(written, page, "HOIST_BLESS=1 writes docs/errors.md anew");
}
