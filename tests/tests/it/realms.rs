//! Token servers that must not be asked, as the command meets them: by what their names lead to, and by their
//! certificates.

use hoist_testkit::{Auth, Home, Image, MockRegistry};
use hoist_tests::{Certified, Output, TlsFront, hoist_at_home};

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

/// CVE-2026-33990, by DNS: `localhost` stands for a name that leads into our network. The registry is one that is
/// not there: it is reached through a proxy, and has a name that this machine does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_realm_whose_name_leads_into_our_network_is_refused() {
    let setup = Setup::new().await;
    let certified = Certified::by_itself("localhost");
    let front = TlsFront::start(&certified, None, &setup.mock.host()).await;
    let authority = certified.write(setup.home.path().join("authority.pem"));
    let (proxy, trusted) = (setup.mock.url(), authority.display().to_string());
    let variables = [("http_proxy", proxy.as_str()), ("SSL_CERT_FILE", trusted.as_str())];
    let realm = format!("https://localhost:{}/token", front.port());

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
    let [certified, other] = [(); 2].map(|()| Certified::by_itself("localhost"));
    let front = TlsFront::start(&certified, None, &setup.mock.host()).await;
    let authority = other.write(setup.home.path().join("authority.pem"));
    let trusted = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    for host in [format!("localhost:{}", front.port()), front.host()] {
        let realm = format!("https://{host}/token");
        let refused = setup.pull(&setup.mock.host(), &realm, &trusted);
        assert_eq!(refused.code, 8, "{}", refused.stderr);
        assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    }
    assert_eq!(setup.mock.counts().token_requests, 0);
}
