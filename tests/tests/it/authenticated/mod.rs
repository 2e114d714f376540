//! Real registry servers that want credentials: with a file of passwords, and with a token server.
//!
//! Needs `docker-registry`, `skopeo` and `htpasswd`; `.ci/run test` installs them.

mod token_server;

use hoist::{Config, ErrorKind, ImageRegistry, PulledImage, Result};
use hoist_testkit::{Home, Image, Layer, assert_valid_layout, write_layout};
use hoist_tests::{Registry, hoist_at_home, run};
use tempfile::TempDir;
use token_server::TokenServer;

const SECRET: &str = "canary";
const AMD64: &str = "linux/amd64";

fn image() -> Image {
    let layers = [Layer::random(3 << 20, 1), Layer::random(1000, 2)].map(Layer::gzipped);
    Image::builder().platform(AMD64).layers(layers).build() // skopeo compresses what is not
}

/// Has skopeo push the image, as me.
fn push(registry: &Registry, repository: &str, dir: &TempDir) -> String {
    let layout = dir.path().join("layout");
    if !layout.exists() {
        write_layout(&layout, [("v1", image())]).unwrap();
    }
    let reference = format!("{}/{repository}:v1", registry.host());
    let (from, to) = (format!("oci:{}:v1", layout.display()), format!("docker://{reference}"));
    let credentials = format!("--dest-creds=me:{SECRET}");
    run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", &credentials, &from, &to]).ok();
    reference
}

/// Pulls with this password, or none, into a new store.
async fn pull(registry: &Registry, reference: &str, password: Option<&str>) -> Result<PulledImage> {
    let dir = TempDir::new().unwrap();
    let config = Config::default().with_root(dir.path()).with_platform(AMD64.parse()?).without_keychain();
    let config = match password {
        Some(password) => config.with_remote_options(|options| {
            options.with_credentials(registry.host(), hoist::Credentials::basic("me", password))
        }),
        None => config,
    };
    let pulled = hoist::open(&config)?.pull(reference).await?;
    assert_eq!(pulled.digest, image().digest().to_string());
    assert_valid_layout(&pulled.path, &pulled.digest);
    Ok(pulled)
}

async fn refused(registry: &Registry, reference: &str, password: Option<&str>) {
    let error = pull(registry, reference, password).await.expect_err("this is private");
    assert_eq!(*error.kind(), ErrorKind::Unauthorized, "{}", error.report());
}

fn with_passwords(dir: &TempDir) -> Registry {
    let file = dir.path().join("htpasswd");
    std::fs::write(&file, run("htpasswd", &["-Bbn", "me", SECRET]).ok()).unwrap();
    Registry::start_with(&format!("auth: {{htpasswd: {{realm: tests, path: '{}'}}}}", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_file_of_passwords_lets_in_who_is_in_it() {
    let dir = TempDir::new().unwrap();
    let registry = with_passwords(&dir);
    let reference = push(&registry, "demo", &dir);
    pull(&registry, &reference, Some(SECRET)).await.unwrap();
    refused(&registry, &reference, Some("wrong")).await;
    refused(&registry, &reference, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_to_a_real_registry_serves_the_next_pull_and_skopeo() {
    let (dir, home) = (TempDir::new().unwrap(), Home::new());
    let registry = with_passwords(&dir);
    let reference = push(&registry, "demo", &dir);
    let login = ["login", "--username=me", "--password-stdin", registry.host()];
    assert_eq!(hoist_at_home(&home, &[], &login, "wrong").code, 5);
    hoist_at_home(&home, &[], &login, SECRET).ok();
    hoist_at_home(&home, &[], &["pull", "--quiet", "--platform", AMD64, &reference], "").ok();
    let (file, image) =
        (format!("--authfile={}", home.docker_config().display()), format!("docker://{reference}"));
    run("skopeo", &["inspect", "--tls-verify=false", &file, &image]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_token_server_lets_in_who_has_its_token() {
    let dir = TempDir::new().unwrap();
    let server = TokenServer::start("me", SECRET, dir.path()).await;
    let registry = Registry::start_with(&server.settings());
    let (private, public) = (push(&registry, "private/demo", &dir), push(&registry, "public/demo", &dir));
    let before = server.scopes().await.len();

    pull(&registry, &private, Some(SECRET)).await.unwrap();
    pull(&registry, &public, Some(SECRET)).await.unwrap();
    pull(&registry, &public, None).await.unwrap();
    pull(&registry, &public, Some("wrong")).await.unwrap();
    refused(&registry, &private, Some("wrong")).await;
    refused(&registry, &private, None).await;

    let scopes = &server.scopes().await[before..];
    assert!(scopes.iter().all(|scope| scope.ends_with("/demo:pull")), "{scopes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_checked_by_the_token_server() {
    let (dir, home) = (TempDir::new().unwrap(), Home::new());
    let server = TokenServer::start("me", SECRET, dir.path()).await;
    let registry = Registry::start_with(&server.settings());
    let reference = push(&registry, "private/demo", &dir);
    let login = ["login", "--username=me", "--password-stdin", registry.host()];
    assert_eq!(hoist_at_home(&home, &[], &login, "wrong").code, 5);
    hoist_at_home(&home, &[], &login, SECRET).ok();
    hoist_at_home(&home, &[], &["pull", "--quiet", "--platform", AMD64, &reference], "").ok();
}
