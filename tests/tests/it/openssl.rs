//! Certificates that `openssl` makes, at a real registry behind a real nginx: hoist accepts those that curl, docker
//! and containerd accept, and says of each other one what is wrong.
//!
//! Needs `docker-registry`, `nginx` and `openssl`; `.ci/run test` installs them.

use std::fs;
use std::path::PathBuf;

use hoist_core::{ErrorKind, ImageRegistry, Result};
use hoist_remote::RemoteRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Image, PLATFORM, assert_valid_layout, push};
use hoist_tests::{Nginx, Openssl, Registry};
use tempfile::TempDir;

const FOR_ADDRESS: &str = "subjectAltName=IP:127.0.0.1";
const SERVER: &str = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
const RSA: &[&str] = &["rsa:2048"];

/// A registry behind nginx, and the directory of its host.
struct Setup {
    nginx: Nginx,
    dir: TempDir,
    _registry: Registry,
}

impl Setup {
    /// nginx shows this certificate, and has more directives.
    async fn showing(certificates: &Openssl, name: &str, more: &str) -> Self {
        let registry = Registry::start();
        push(registry.host(), "demo", "v1", Image::sample(1)).await;
        let (crt, key) = (certificates.crt(name), certificates.key(name));
        let nginx = Nginx::start_with(&crt, &key, more, "/v2", registry.host());
        let dir = TempDir::new().unwrap();
        let setup = Self { nginx, dir, _registry: registry };
        fs::create_dir_all(setup.directory()).unwrap();
        setup
    }

    /// As Docker names it: `certs.d/HOST:PORT`.
    fn directory(&self) -> PathBuf {
        self.dir.path().join("certs.d").join(self.nginx.host())
    }

    /// Copies a certificate there.
    fn trust(&self, certificates: &Openssl, name: &str) -> &Self {
        fs::copy(certificates.crt(name), self.directory().join("ca.crt")).unwrap();
        self
    }

    async fn pull(&self) -> Result<()> {
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(self.dir.path().join("store"), options).unwrap();
        let registry = RemoteRegistry::new(store)
            .with_platform(PLATFORM.parse().unwrap())
            .with_options(|options| options.with_retries(0).with_hosts_dir(self.dir.path().join("certs.d")));
        let pulled = registry.pull(&format!("{}/demo:v1", self.nginx.host())).await?;
        assert_valid_layout(&pulled.path, &pulled.digest);
        Ok(())
    }

    async fn is_pulled_from(&self) {
        self.pull().await.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    #[track_caller]
    fn assert_says(error: &hoist_core::Error, kind: &ErrorKind, words: &[&str]) {
        let report = error.report();
        assert_eq!(error.kind(), kind, "{report}");
        for word in words {
            assert!(report.contains(word), "no {word:?} in {report}");
        }
    }

    async fn is_refused(&self, words: &[&str]) {
        let error = self.pull().await.expect_err("this is not to be trusted");
        Self::assert_says(&error, &ErrorKind::Tls, words);
    }
}

#[tokio::test]
async fn a_registrys_own_self_signed_certificate_is_trusted_as_docker_documents_it() {
    let certificates = Openssl::new();
    certificates.by_itself("domain", &["-addext", FOR_ADDRESS]).by_itself("other", &["-addext", FOR_ADDRESS]);
    let setup = Setup::showing(&certificates, "domain", "").await;
    setup.trust(&certificates, "other").is_refused(&["authority"]).await;
    setup.trust(&certificates, "domain").is_pulled_from().await;
}

#[tokio::test]
async fn a_certificate_that_is_trusted_by_itself_must_still_be_for_the_name() {
    let certificates = Openssl::new();
    certificates.by_itself("domain", &["-addext", "subjectAltName=DNS:registry.lan"]);
    let setup = Setup::showing(&certificates, "domain", "").await;
    setup.trust(&certificates, "domain").is_refused(&["for another name: registry.lan;"]).await;
}

#[tokio::test]
async fn a_servers_certificate_is_trusted_without_its_authority() {
    let certificates = Openssl::new();
    certificates.by_itself("root", &[]).signed_by("root", "server", RSA, SERVER);
    certificates.signed_by("root", "sibling", RSA, SERVER);
    let setup = Setup::showing(&certificates, "server", "").await;
    setup.trust(&certificates, "sibling").is_refused(&["authority"]).await;
    setup.trust(&certificates, "server").is_pulled_from().await;
}

#[tokio::test]
async fn an_authority_of_version_1_is_trusted() {
    let certificates = Openssl::new();
    certificates.version_1("root").signed_by("root", "server", RSA, SERVER);
    let setup = Setup::showing(&certificates, "server", "").await;
    setup.trust(&certificates, "root").is_pulled_from().await;
}

#[tokio::test]
async fn client_certificates_of_both_versions_are_shown() {
    let certificates = Openssl::new();
    certificates.by_itself("root", &[]).signed_by("root", "server", RSA, SERVER);
    certificates.signed_by("root", "version-1", RSA, "").signed_by(
        "root",
        "version-3",
        RSA,
        "keyUsage=digitalSignature",
    );
    let clients = certificates.crt("root");
    let more = format!("ssl_client_certificate {}; ssl_verify_client on;", clients.display());
    let setup = Setup::showing(&certificates, "server", &more).await;
    setup.trust(&certificates, "root");
    for name in ["version-1", "version-3"] {
        fs::copy(certificates.crt(name), setup.directory().join("client.cert")).unwrap();
        fs::copy(certificates.key(name), setup.directory().join("client.key")).unwrap();
        setup.is_pulled_from().await;
    }
    fs::copy(certificates.key("version-1"), setup.directory().join("client.key")).unwrap();
    let error = setup.pull().await.expect_err("this is another certificate's key");
    Setup::assert_says(&error, &ErrorKind::InvalidConfig, &["client.key", "no key for the certificate"]);
}

#[tokio::test]
async fn one_odd_block_in_a_bundle_does_not_spoil_it() {
    let certificates = Openssl::new();
    certificates.by_itself("root", &[]).signed_by("root", "server", RSA, SERVER);
    let setup = Setup::showing(&certificates, "server", "").await;
    let odd = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    let good = fs::read_to_string(certificates.crt("root")).unwrap();
    fs::write(setup.directory().join("ca.crt"), format!("{odd}{good}")).unwrap();
    setup.is_pulled_from().await;
    fs::write(setup.directory().join("ca.crt"), odd).unwrap();
    let error = setup.pull().await.expect_err("there is no certificate left");
    Setup::assert_says(&error, &ErrorKind::InvalidConfig, &["ca.crt", "block 1"]);
}

#[tokio::test]
async fn a_common_name_alone_is_called_so() {
    let certificates = Openssl::new();
    certificates.by_itself("root", &[]).signed_by("root", "127.0.0.1", RSA, "basicConstraints=CA:FALSE");
    let setup = Setup::showing(&certificates, "127.0.0.1", "").await;
    setup.trust(&certificates, "root").is_refused(&["subjectAltName", "common name"]).await;
}

#[tokio::test]
async fn an_authoritys_certificate_at_a_server_is_called_so() {
    let certificates = Openssl::new();
    let authority = format!("{FOR_ADDRESS}\nbasicConstraints=CA:TRUE\n");
    certificates.by_itself("root", &[]).signed_by("root", "server", RSA, &authority);
    let setup = Setup::showing(&certificates, "server", "").await;
    setup.trust(&certificates, "root").is_refused(&["CA:TRUE", "name this certificate itself as `ca`"]).await;
    setup.trust(&certificates, "server").is_pulled_from().await;
}

#[tokio::test]
async fn a_server_with_old_ciphers_or_versions_alone_is_called_so() {
    let certificates = Openssl::new();
    certificates.by_itself("domain", &["-addext", FOR_ADDRESS]);
    let only_rsa = "ssl_protocols TLSv1.2; ssl_ciphers AES128-GCM-SHA256;";
    let too_old = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;";
    for (more, words) in [(only_rsa, ["cipher", "in common"]), (too_old, ["TLS version", "in common"])] {
        let setup = Setup::showing(&certificates, "domain", more).await;
        setup.trust(&certificates, "domain").is_refused(&words).await;
    }
}
