//! TLS, as a user meets it: whom the command trusts, what it says of others, and that it never falls back.

use std::path::PathBuf;

use hoist_testkit::{Fault, Image, MockRegistry, On, assert_valid_layout};
use hoist_tests::{Certified, Output, TlsFront, hoist_with};
use tempfile::TempDir;

/// An address of this machine that is not one of its loopback names: those are spoken to without TLS.
const THIS_MACHINE: &str = "0.0.0.0";

/// A mocked registry behind TLS, with a certificate that signs itself, and a store.
struct Setup {
    mock: MockRegistry,
    reference: String,
    authority: PathBuf,
    dir: TempDir,
    _front: TlsFront,
}

impl Setup {
    /// The certificate is for this name; the registry is at [`THIS_MACHINE`] in any case.
    async fn named(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let certified = Certified::by_itself(name);
        let authority = certified.write(dir.path().join("authority.pem"));
        let mock = MockRegistry::start().await;
        mock.publish("demo", "v1", Image::sample(1));
        let front = TlsFront::start_at(THIS_MACHINE, &certified, None, &mock.host()).await;
        Self { mock, reference: format!("{}/demo:v1", front.host()), authority, dir, _front: front }
    }

    /// Pulls from where the registry's own certificate is the system's only one.
    async fn pull_trusting(&self) -> Output {
        self.pull(&self.reference, self.authority.clone(), &[]).await
    }

    async fn pull(&self, reference: &str, trusted: PathBuf, options: &[&str]) -> Output {
        let arguments = [&["pull", "--quiet", "--platform=linux/amd64", reference], options].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let root = self.dir.path().join("store");
        let run = move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            hoist_with(&[("SSL_CERT_FILE", &trusted)], &root, &arguments)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_the_systems_is_trusted() {
    let setup = Setup::named(THIS_MACHINE).await;
    let pulled = setup.pull_trusting().await;
    assert_valid_layout(pulled.ok(), &Image::sample(1).digest().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused_with_what_to_do() {
    let (setup, other) = (Setup::named(THIS_MACHINE).await, Setup::named(THIS_MACHINE).await);
    let output = setup.pull(&setup.reference, other.authority.clone(), &[]).await;
    assert_refused(&output, 8, &[&setup.reference, "install the certificate", "SSL_CERT_FILE"]);
    assert_eq!(setup.mock.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let setup = Setup::named("registry.example.com").await;
    assert_refused(&setup.pull_trusting().await, 8, &[&setup.reference, "certificate"]);
    assert_eq!(setup.mock.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_tls_must_be_named_as_one() {
    let setup = Setup::named(THIS_MACHINE).await;
    let reference = format!("{THIS_MACHINE}:{}/demo:v1", setup.mock.server().address().port());
    let output = setup.pull(&reference, setup.authority.clone(), &[]).await;
    assert_refused(&output, 8, &[&reference, "--plain-http"]);
    assert_eq!(setup.mock.requests(), []);
    setup.pull(&reference, setup.authority.clone(), &["--plain-http"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_plain_http_is_not_followed() {
    let setup = Setup::named(THIS_MACHINE).await;
    setup.mock.fail(On::Blobs, Fault::Redirect(setup.mock.url()));
    let output = setup.pull_trusting().await;
    assert_refused(&output, 10, &["redirected from https to http", "the blob"]);
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
    assert!(setup.mock.counts().blob_gets <= Image::sample(1).blobs().count(), "each was asked for once");
}
