//! Certificates of a private authority: whom the library trusts, and what it shows of itself, by host.

use std::fs;
use std::path::PathBuf;

use hoist_core::{ErrorKind, ImageRegistry};
use hoist_remote::{Credentials, RemoteRegistry};
use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Auth, Fault, Image, MockRegistry, On, PLATFORM, Tokens, assert_valid_layout};
use hoist_tests::{Authority, Certified, TlsFront};
use tempfile::TempDir;

const ADDRESS: &str = "127.0.0.1";
/// A name that leads nowhere: its directory says where it is.
const REGISTRY: &str = "registry.test";
const REFERENCE: &str = "registry.test/demo:v1";
const SECRET: &str = "canary";

/// A mocked registry behind TLS, and the directory that says so.
struct Setup {
    mock: MockRegistry,
    authority: Authority,
    front: TlsFront,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let authority = Authority::new();
        let certified = authority.certify(ADDRESS);
        Self::with(authority, &certified, None).await
    }

    async fn with(authority: Authority, certified: &Certified, clients: Option<&Authority>) -> Self {
        let mock = MockRegistry::start().await;
        mock.publish("demo", "v1", Image::sample(1));
        let front = TlsFront::start(certified, clients, &mock.host()).await;
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("hosts").join(REGISTRY)).unwrap();
        authority.write(dir.path().join("hosts").join(REGISTRY).join("ca.pem"));
        Self { mock, authority, front, dir }
    }

    fn directory(&self) -> PathBuf {
        self.dir.path().join("hosts").join(REGISTRY)
    }

    /// Says where the registry is, and this.
    fn write(&self, more: &str) {
        let text = format!("server = 'https://{}'\n{more}\n", self.front.host());
        fs::write(self.directory().join("hosts.toml"), text).unwrap();
    }

    fn registry(&self) -> RemoteRegistry {
        let store = Store::open(self.dir.path().join("store"), StoreOptions::default()).unwrap();
        RemoteRegistry::new(store)
            .with_platform(PLATFORM.parse().unwrap())
            .with_options(|options| options.with_retries(0).with_hosts_dir(self.dir.path().join("hosts")))
    }

    async fn pull(&self, reference: &str) {
        let pulled = self.registry().pull(reference).await;
        let pulled = pulled.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_valid_layout(&pulled.path, &pulled.digest);
    }

    /// A pull that TLS forbids, with an error that has these words.
    async fn refused(&self, words: &[&str]) {
        let error = self.registry().pull(REFERENCE).await.expect_err("this is not to be trusted");
        assert_eq!(*error.kind(), ErrorKind::Tls, "{}", error.report());
        for word in words {
            assert!(error.report().contains(word), "no {word:?} in {}", error.report());
        }
        assert_eq!(self.mock.requests(), []);
    }
}

#[tokio::test]
async fn an_authority_named_for_a_host_is_trusted() {
    let setup = Setup::new().await;
    for more in ["ca = 'ca.pem'".into(), format!("ca = ['{}']", setup.directory().join("ca.pem").display())] {
        setup.write(&more);
        setup.pull(REFERENCE).await;
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_called_so() {
    let setup = Setup::new().await;
    setup.write("");
    setup.refused(&["authority that is not trusted", "`ca` in hosts.toml"]).await;
    Authority::new().write(setup.directory().join("other.pem"));
    setup.write("ca = 'other.pem'");
    setup.refused(&["authority that is not trusted"]).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_called_so() {
    let authority = Authority::new();
    let certified = authority.certify("other.example.com");
    let setup = Setup::with(authority, &certified, None).await;
    setup.write("ca = 'ca.pem'");
    setup.refused(&["for another name", "other.example.com"]).await;
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused_and_called_so() {
    for (is_early, word) in [(false, "has expired"), (true, "not valid yet")] {
        let authority = Authority::new();
        let certified =
            if is_early { authority.certify_early(ADDRESS) } else { authority.certify_expired(ADDRESS) };
        let setup = Setup::with(authority, &certified, None).await;
        setup.write("ca = 'ca.pem'");
        setup.refused(&[word, "clock"]).await;
    }
}

/// It is an authority's, as OpenSSL makes a certificate that signs itself.
#[tokio::test]
async fn a_certificate_that_is_trusted_by_itself_must_still_be_in_its_time() {
    for (year, word) in [(1999, Some("has expired")), (4000, None)] {
        let certified = Certified::authority_until(ADDRESS, year);
        let setup = Setup::with(Authority::new(), &certified, None).await;
        certified.write(setup.directory().join("ca.pem"));
        setup.write("ca = 'ca.pem'");
        match word {
            Some(word) => setup.refused(&[word, "clock"]).await,
            None => setup.pull(REFERENCE).await,
        }
    }
}

#[tokio::test]
async fn a_host_whose_file_says_so_is_not_verified() {
    let authority = Authority::new();
    let certified = authority.certify_expired("other.example.com");
    let setup = Setup::with(authority, &certified, None).await;
    setup.write("skip_verify = true");
    setup.pull(REFERENCE).await;
}

/// CVE-2019-10214: what is not verified is this host alone, and not the token server that it names.
#[tokio::test]
async fn a_token_server_is_verified_though_its_registry_is_not() {
    let setup = Setup::new().await;
    setup.write("skip_verify = true");
    let token_server = MockRegistry::start().await;
    let front = TlsFront::start(&Authority::new().certify("localhost"), None, &token_server.host()).await;
    let challenge = format!("Bearer realm=\"https://localhost:{}/token\"", front.port());
    setup.mock.fail(On::Everything, Fault::Challenge(challenge));
    let error = setup.registry().pull(REFERENCE).await.expect_err("its token server is not to be trusted");
    assert_eq!(*error.kind(), ErrorKind::Tls, "{}", error.report());
    assert_eq!(token_server.requests(), []);
}

/// As GitLab has it: what its file says of the registry is said of whom the registry sends us to as well.
#[tokio::test]
async fn a_token_server_is_trusted_by_the_authority_of_its_registry() {
    let setup = Setup::new().await;
    let token_server = TlsFront::start(&setup.authority.certify("localhost"), None, &setup.mock.host()).await;
    let same_name = TlsFront::start(&setup.authority.certify(ADDRESS), None, &setup.mock.host()).await;
    setup.write("ca = 'ca.pem'");
    for host in [format!("localhost:{}", token_server.port()), same_name.host()] {
        setup.mock.require(Auth::AnonymousToken);
        setup.mock.challenge(&[&format!("Bearer realm=\"https://{host}/token\",service=\"mock\"")]);
        setup.mock.forget_requests();
        setup.pull(REFERENCE).await;
        assert_eq!(setup.mock.counts().token_requests, 1, "{host}");
    }
}

/// Whoever poses as the token server would be shown the credentials, and our certificate is for the registry.
#[tokio::test]
async fn a_token_server_elsewhere_is_verified_and_shown_no_certificate_of_ours() {
    let (setup, clients) = (Setup::new().await, Authority::new());
    clients.certify("client").write_both(setup.directory().join("both.pem"));
    setup.write("ca = 'ca.pem'\nclient = 'both.pem'\nskip_verify = true");
    let server = MockRegistry::start().await;
    server.require(Auth::AnonymousToken);
    let another = TlsFront::start(&Authority::new().certify(ADDRESS), None, &server.host()).await;
    let wants = TlsFront::start(&setup.authority.certify(ADDRESS), Some(&clients), &server.host()).await;
    for front in [another, wants] {
        setup.mock.repair();
        let challenge = format!("Bearer realm=\"https://{}/token\"", front.host());
        setup.mock.fail(On::Everything, Fault::Challenge(challenge));
        let error = setup.registry().pull(REFERENCE).await.expect_err("it is not the registry");
        assert_eq!(*error.kind(), ErrorKind::Tls, "{}", error.report());
    }
    assert_eq!(server.requests(), []);
}

/// A `POST` has the credentials in its body, and goes the same way as a `GET`.
#[tokio::test]
async fn a_token_server_at_the_registrys_own_address_is_reached_as_the_registry_is() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, Some(&clients)).await;
    clients.certify("client").write_both(setup.directory().join("both.pem"));
    let realm = format!("https://{}/token", setup.front.host());
    for more in ["ca = 'ca.pem'", "skip_verify = true"] {
        setup.write(&format!("client = 'both.pem'\n{more}"));
        for credentials in [Credentials::identity_token(SECRET), Credentials::basic("me", SECRET)] {
            setup.mock.require(Auth::token("me", SECRET));
            setup.mock.hand_out(Tokens::default().with_identity(SECRET));
            setup.mock.challenge(&[&format!("Bearer realm=\"{realm}\",service=\"mock\"")]);
            setup.mock.forget_requests();
            let registry = setup
                .registry()
                .with_options(|options| options.with_credentials(setup.front.host(), credentials));
            let pulled = registry.force_pull(REFERENCE).await;
            pulled.unwrap_or_else(|error| panic!("{}", error.report()));
            assert_eq!(setup.mock.counts().token_requests, 1);
        }
    }
}

#[tokio::test]
async fn a_registry_that_wants_a_certificate_is_shown_the_hosts_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, Some(&clients)).await;
    let client = clients.certify("client");
    client.write(setup.directory().join("client.pem"));
    client.write_key(setup.directory().join("client-key.pem"));
    client.write_both(setup.directory().join("both.pem"));
    for more in ["[['client.pem', 'client-key.pem']]", "'both.pem'", "['both.pem']", "[['both.pem', '']]"] {
        setup.write(&format!("ca = 'ca.pem'\nclient = {more}"));
        setup.pull(REFERENCE).await;
    }
}

#[tokio::test]
async fn without_the_right_certificate_it_is_said_that_one_is_wanted() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, Some(&clients)).await;
    setup.write("ca = 'ca.pem'");
    setup.refused(&["wants a certificate", "`client` in hosts.toml"]).await;
    Authority::new().certify("client").write_both(setup.directory().join("both.pem"));
    setup.write("ca = 'ca.pem'\nclient = 'both.pem'");
    setup.refused(&["does not take our certificate"]).await;
}

#[tokio::test]
async fn certificates_that_docker_was_given_are_taken() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, Some(&clients)).await;
    let directory = setup.dir.path().join("hosts").join(setup.front.host());
    fs::create_dir(&directory).unwrap();
    setup.authority.write(directory.join("ca.crt"));
    let client = clients.certify("client");
    client.write(directory.join("client.cert"));
    client.write_key(directory.join("client.key"));
    setup.pull(&format!("{}/demo:v1", setup.front.host())).await;
}

#[tokio::test]
async fn a_mirror_whose_certificate_is_no_good_is_passed_over() {
    let setup = Setup::new().await;
    let origin = MockRegistry::start().await;
    origin.publish("demo", "v1", Image::sample(1));
    let text = format!("server = '{}'\n[host.'https://{}']\n", origin.url(), setup.front.host());
    fs::write(setup.directory().join("hosts.toml"), text).unwrap();
    setup.pull(REFERENCE).await;
    assert_eq!(setup.mock.requests(), []);
}

/// The usual file has the same host as `server` and as one of its own, which has what is said of it.
#[tokio::test]
async fn connections_are_kept_from_one_pull_to_the_next() {
    let setup = Setup::new().await;
    setup.write(&format!("[host.'https://{}']\nca = 'ca.pem'", setup.front.host()));
    let registry = setup.registry().with_options(|options| options.with_connections(1.try_into().unwrap()));
    registry.pull(REFERENCE).await.unwrap();
    let before = setup.front.connections();
    for _ in 0..3 {
        registry.pull(REFERENCE).await.unwrap();
        registry.tags("registry.test/demo").await.expect_err("its server is not trusted");
    }
    let more = setup.front.connections() - before;
    assert_eq!(more, 3, "one for each list of tags, which nobody trusts");
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_taken_without_a_restart() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, Some(&clients)).await;
    let path = setup.directory().join("both.pem");
    Authority::new().certify("client").write_both(&path);
    setup.write("ca = 'ca.pem'\nclient = 'both.pem'");
    let registry = setup.registry();
    registry.pull(REFERENCE).await.expect_err("nobody knows this client");
    clients.certify("client").write_both(&path);
    // File systems tell times apart that are as far as this.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    registry.pull(REFERENCE).await.unwrap();
}

/// Which file has the system's roots is said in the environment, which a test cannot change: so it runs in a process of its
/// own.
#[tokio::test]
async fn the_systems_roots_are_read_again_after_a_failure() {
    const ROOTS: &str = "SSL_CERT_FILE";
    let name = "the_systems_roots_are_read_again_after_a_failure";
    let dir = TempDir::new().unwrap();
    let Some(roots) = std::env::var_os(ROOTS).filter(|_| std::env::var_os("HOIST_TEST_CHILD").is_some())
    else {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name]).env(ROOTS, dir.path().join("roots.pem")).env("HOIST_TEST_CHILD", "1");
        let output = child.env_remove("SSL_CERT_DIR").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    };
    let authority = Authority::new();
    let certified = authority.certify(ADDRESS);
    let setup = Setup::with(authority, &certified, None).await;
    setup.write("");
    fs::remove_file(setup.directory().join("ca.pem")).unwrap();
    let registry = setup.registry();
    let pull = async || registry.pull(REFERENCE).await.map_err(|error| error.kind().clone());
    assert_eq!(pull().await.unwrap_err(), ErrorKind::Tls, "there are none");
    Authority::new().write(&roots);
    assert_eq!(pull().await.unwrap_err(), ErrorKind::Tls, "it is another's");
    setup.authority.write(&roots);
    pull().await.unwrap();
}
