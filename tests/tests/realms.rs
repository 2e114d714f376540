//! Token servers that must not be asked, as the command meets them: by what their names lead to, and by their
//! certificates.

use std::sync::Arc;

use hoist_testkit::{Auth, Image, MockRegistry};
use hoist_tests::{Home, Output, hoist_at_home};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "canary";
/// `me` and the secret, in base64.
const AUTH: &str = "bWU6Y2FuYXJ5";

/// A mocked registry that wants a token, and a user who has credentials for all that it is called.
struct Setup {
    mock: MockRegistry,
    home: Home,
}

impl Setup {
    async fn new() -> Self {
        let (mock, home) = (MockRegistry::start().await, Home::new());
        mock.publish("demo", "v1", Image::sample(1));
        mock.require(Auth::token("me", SECRET));
        let names = [mock.host(), "registry.example.com".to_owned()];
        let entries = names.map(|name| format!(r#""{name}": {{"auth": "{AUTH}"}}"#)).join(", ");
        home.write_docker_config(&format!(r#"{{"auths": {{{entries}}}}}"#));
        Self { mock, home }
    }

    /// Pulls from a registry that is named like this, and that sends us to this realm.
    fn pull(&self, registry: &str, realm: &str, variables: &[(&str, &str)]) -> Output {
        self.mock.challenge(&[&format!("Bearer realm=\"{realm}\",service=\"mock\"")]);
        let reference = format!("{registry}/demo:v1");
        let pull = ["pull", "--quiet", "--plain-http", "--platform=linux/amd64", &reference];
        tokio::task::block_in_place(|| hoist_at_home(&self.home, variables, &pull, ""))
    }
}

/// Passes what comes over TLS on to this host. Returns the port that it comes to.
async fn serve_tls(CertifiedKey { cert, signing_key }: &CertifiedKey<KeyPair>, host: String) -> u16 {
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key);
    let acceptor: TlsAcceptor = Arc::new(config.unwrap()).into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, host) = (acceptor.clone(), host.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(host).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

/// CVE-2026-33990, by DNS: `localhost` stands for a name that leads into our network. The registry is one that is
/// not there: it is reached through a proxy, and has a name that this machine does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_realm_whose_name_leads_into_our_network_is_refused() {
    let setup = Setup::new().await;
    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let port = serve_tls(&certified, setup.mock.host()).await;
    let authority = setup.home.path().join("authority.pem");
    std::fs::write(&authority, certified.cert.pem()).unwrap();
    let (proxy, trusted) = (setup.mock.url(), authority.display().to_string());
    let variables = [("http_proxy", proxy.as_str()), ("SSL_CERT_FILE", trusted.as_str())];
    let realm = format!("https://localhost:{port}/token");

    let refused = setup.pull("registry.example.com", &realm, &variables);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("is in a network of our own"), "{}", refused.stderr);
    assert_eq!(setup.mock.counts().token_requests, 0);

    // For a registry that is there as well, it is no stranger's.
    setup.pull(&setup.mock.host(), &realm, &variables).ok();
    assert_eq!(setup.mock.counts().token_requests, 1);
}

/// CVE-2026-48978 and CVE-2026-33990.
#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_downgrades_or_is_a_bare_address_of_another_host_is_refused() {
    let setup = Setup::new().await;
    let proxy = setup.mock.url();
    for realm in [
        "http://auth.example.com/token".to_owned(),
        "https://169.254.169.254/token".to_owned(),
        "https://[::ffff:169.254.169.254]/token".to_owned(),
        "https://0.0.0.0/token".to_owned(),
        "https://2130706433/token".to_owned(), // 127.0.0.1
        format!("{proxy}/token"),
    ] {
        let refused = setup.pull("registry.example.com", &realm, &[("http_proxy", &proxy)]);
        assert_eq!(refused.code, 5, "{}", refused.stderr);
        assert!(refused.stderr.contains("no credentials were sent"), "{}", refused.stderr);
    }
    assert!(setup.mock.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// CVE-2019-10214.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_at_the_realm_fails_though_the_registry_has_no_tls() {
    let setup = Setup::new().await;
    let [certified, other] = [(); 2].map(|()| generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let port = serve_tls(&certified, setup.mock.host()).await;
    let authority = setup.home.path().join("authority.pem");
    std::fs::write(&authority, other.cert.pem()).unwrap();
    let trusted = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    for realm in [format!("https://localhost:{port}/token"), format!("https://127.0.0.1:{port}/token")] {
        let refused = setup.pull(&setup.mock.host(), &realm, &trusted);
        assert_eq!(refused.code, 8, "{}", refused.stderr);
        assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    }
    assert_eq!(setup.mock.counts().token_requests, 0);
}
