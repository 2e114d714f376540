//! Proxies, as the environment names them to the command: in both cases, with credentials, and to blame when it
//! was them.

use std::path::Path;

use hoist_core::ImageRegistry;
use hoist_remote::RemoteRegistry;
use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Auth, Image, MockRegistry, PLATFORM};
use hoist_tests::{Authority, Output, Proxy, TlsFront, hoist_with};
use tempfile::TempDir;

/// A name that leads nowhere: only a proxy gets there.
const REFERENCE: &str = "registry.test/demo:v1";
const TUNNEL: &str = "CONNECT registry.test:443 HTTP/1.1";
/// An address of this machine that is not one of its loopback names: those are never reached through a proxy.
const THIS_MACHINE: &str = "0.0.0.0";
/// `me:canary`.
const AUTHORIZATION: &str = "Basic bWU6Y2FuYXJ5";

/// A mocked registry, the same behind TLS, and a store.
struct Setup {
    mock: MockRegistry,
    front: TlsFront,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let mock = MockRegistry::start().await;
        mock.publish("demo", "v1", Image::sample(1));
        let authority = Authority::new();
        let front = TlsFront::start(&authority.certify("registry.test"), None, &mock.host()).await;
        let dir = TempDir::new().unwrap();
        authority.write(dir.path().join("authority.pem"));
        Self { mock, front, dir }
    }

    /// Pulls into a store of its own, in this environment.
    async fn pull(&self, environment: &[(&str, &str)], reference: &str, options: &[&str]) -> Output {
        let arguments = [&["pull", "--quiet", "--platform", PLATFORM, reference], options].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let authority = self.dir.path().join("authority.pem");
        let run = move || {
            let root = TempDir::new().unwrap();
            let mut variables: Vec<_> =
                environment.iter().map(|(name, value)| (name.as_str(), Path::new(value))).collect();
            variables.push(("SSL_CERT_FILE", &authority));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            hoist_with(&variables, root.path(), &arguments)
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
    assert!(!output.stderr.contains("canary"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_reached_through_the_proxy_in_whatever_case_it_is_named() {
    let setup = Setup::new().await;
    let proxy = Proxy::http(&setup.front.host(), None).await;
    let (url, bare) = (format!("http://{}", proxy.host()), proxy.host());
    for environment in [
        &[("HTTPS_PROXY", url.as_str())][..],
        &[("https_proxy", &url)],
        &[("ALL_PROXY", &url)],
        &[("all_proxy", &url)],
        &[("HTTPS_PROXY", &bare)],
        &[("HTTPS_PROXY", ""), ("https_proxy", &url)],
        &[("HTTPS_PROXY", &url), ("ALL_PROXY", "http://127.0.0.1:1")],
    ] {
        let before = proxy.asked().len();
        setup.pull(environment, REFERENCE, &[]).await.ok();
        assert_eq!(proxy.asked()[before], TUNNEL, "{environment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_goes_through_its_own_proxy() {
    let setup = Setup::new().await;
    let proxy = Proxy::http(&setup.mock.host(), Some(AUTHORIZATION)).await;
    let url = format!("http://me:canary@{}", proxy.host());
    for name in ["HTTP_PROXY", "http_proxy", "all_proxy"] {
        setup.pull(&[(name, &url)], REFERENCE, &["--plain-http"]).await.ok();
    }
    assert_eq!(proxy.asked()[0], "GET http://registry.test/v2/demo/manifests/v1 HTTP/1.1");
    let url = format!("http://{}", proxy.host());
    let output = setup.pull(&[("HTTP_PROXY", &url)], REFERENCE, &["--plain-http"]).await;
    assert_refused(&output, 7, &["the proxy", &proxy.host(), "credentials"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_shown_its_credentials_and_nobody_else_is() {
    let setup = Setup::new().await;
    let proxy = Proxy::http(&setup.front.host(), Some(AUTHORIZATION)).await;
    let url = format!("http://me:canary@{}", proxy.host());
    setup.pull(&[("HTTPS_PROXY", &url)], REFERENCE, &["-vv"]).await.ok();
    for request in setup.mock.server().received_requests().await.unwrap() {
        assert!(!request.headers.contains_key("proxy-authorization"));
    }
    let wrong = format!("http://me:canary-2@{}", proxy.host());
    for url in [&wrong, &format!("http://{}", proxy.host())] {
        let output = setup.pull(&[("HTTPS_PROXY", url)], REFERENCE, &["-vv"]).await;
        let words = [REFERENCE, "through the proxy", &proxy.host(), "authorization required", "HTTPS_PROXY"];
        assert_refused(&output, 7, &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_proxy_is_to_blame() {
    let setup = Setup::new().await;
    for dead in ["http://me:canary@127.0.0.1:1", "socks5://me:canary@127.0.0.1:1"] {
        let output = setup.pull(&[("HTTPS_PROXY", dead)], REFERENCE, &[]).await;
        assert_refused(&output, 7, &["through the proxy 127.0.0.1:1", "NO_PROXY"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_none_is_an_error_and_not_gone_around() {
    let setup = Setup::new().await;
    for proxy in ["ftp://canary.lan", "http://", "http://proxy.lan:canary"] {
        let output = setup.pull(&[("HTTPS_PROXY", proxy)], REFERENCE, &[]).await;
        assert_refused(&output, 2, &["HTTPS_PROXY is no proxy's address"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_proxy_names_and_what_is_on_this_machine_is_reached_directly() {
    let setup = Setup::new().await;
    let port = setup.mock.host().rsplit_once(':').unwrap().1.to_owned();
    let elsewhere = format!("{THIS_MACHINE}:{port}/demo:v1");
    let with_port = format!("{THIS_MACHINE}:{port}");
    for (name, exempt) in [
        ("NO_PROXY", "*"),
        ("no_proxy", THIS_MACHINE),
        ("NO_PROXY", &with_port),
        ("NO_PROXY", "other.lan, 0.0.0.0/8"),
    ] {
        let environment = [("HTTP_PROXY", "http://127.0.0.1:1"), (name, exempt)];
        setup.pull(&environment, &elsewhere, &["--plain-http"]).await.ok();
    }
    let environment = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "0.0.0.0:1,0.0.0.1/32,lan")];
    assert_refused(&setup.pull(&environment, &elsewhere, &["--plain-http"]).await, 7, &["the proxy"]);
    let here = format!("{}/demo:v1", setup.mock.host());
    setup.pull(&[("ALL_PROXY", "http://127.0.0.1:1")], &here, &[]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_looks_up_the_name_itself() {
    let setup = Setup::new().await;
    let proxy = Proxy::socks5(&setup.front.host(), Some(("me", "canary"))).await;
    for scheme in ["socks5", "socks5h"] {
        let url = format!("{scheme}://me:canary@{}", proxy.host());
        setup.pull(&[("ALL_PROXY", &url)], REFERENCE, &[]).await.ok();
    }
    assert!(proxy.asked().iter().all(|asked| asked == "registry.test:443"), "{:?}", proxy.asked());
}

/// A registry whose file says this of it.
fn described(setup: &Setup, text: &str) -> RemoteRegistry {
    let hosts = setup.dir.path().join("registry.test");
    std::fs::create_dir(&hosts).unwrap();
    std::fs::write(hosts.join("hosts.toml"), text).unwrap();
    let store = Store::open(setup.dir.path().join("store"), StoreOptions::default()).unwrap();
    RemoteRegistry::new(store)
        .with_platform(PLATFORM.parse().unwrap())
        .with_options(|options| options.with_hosts_dir(setup.dir.path()).with_retries(0))
}

#[tokio::test]
async fn a_hosts_own_proxy_goes_before_all_others() {
    let setup = Setup::new().await;
    let proxy = Proxy::http(&setup.mock.host(), Some(AUTHORIZATION)).await;
    let text = format!("server = 'http://registry.test'\nproxy = 'http://me:canary@{}'\n", proxy.host());
    let registry = described(&setup, &text);
    registry.pull(REFERENCE).await.unwrap();
    assert!(proxy.asked()[0].starts_with("GET http://registry.test/"));
    assert!(!format!("{registry:?}").contains("canary"), "{registry:?}");
}

#[tokio::test]
async fn a_hosts_own_proxy_leads_to_its_token_server_as_well() {
    let setup = Setup::new().await;
    setup.mock.require(Auth::AnonymousToken);
    setup.mock.challenge(&["Bearer realm=\"https://registry.test:444/token\",service=\"mock\""]);
    let proxy = Proxy::http(&setup.front.host(), None).await;
    let text = format!("ca = '../authority.pem'\nproxy = 'http://{}'\n", proxy.host());
    let registry = described(&setup, &text);
    registry.pull(REFERENCE).await.unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(proxy.asked().iter().any(|asked| asked == "CONNECT registry.test:444 HTTP/1.1"));
}
