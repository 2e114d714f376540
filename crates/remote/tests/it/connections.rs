//! Connections: to addresses of every kind, and never waited for without end.

use std::fs;
use std::time::Duration;

use hoist_core::ErrorKind;
use hoist_testkit::{Fault, Image, On};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Setup, fails, one_layer, pull};

const SHORT: Duration = Duration::from_millis(200);

/// A server that takes connections and says nothing. Returns its port.
async fn mute(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            taken.push(client);
        }
    });
    port
}

#[tokio::test]
async fn an_ipv6_address_is_a_registrys_name() {
    let setup = Setup::new().await;
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    setup.mock.publish("x", "v1", Image::sample(1));
    let host = setup.mock.host();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&host).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let pulled = setup.pull(&format!("[::1]:{port}/x:v1")).await;
    assert_eq!(pulled.reference, format!("[::1]:{port}/x:v1"));
}

#[tokio::test]
async fn a_registry_that_never_answers_is_unavailable_in_bounded_time() {
    let setup = Setup::new().await;
    let reference = format!("127.0.0.1:{}/demo:v1", mute("127.0.0.1").await);
    let registry = setup.registry().with_options(|options| options.with_response_timeout(SHORT));
    fails(
        &registry,
        &reference,
        ErrorKind::Unavailable,
        &["no answer began in time", "try again later", "answer-timeout"],
    )
    .await;
}

/// Within the limit that is configured, wherever it is.
#[tokio::test]
async fn a_token_server_that_never_answers_is_unavailable_in_bounded_time() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let realm = format!("http://localhost:{}/token", mute("127.0.0.1").await);
    setup.mock.fail(On::Everything, Fault::Challenge(format!("Bearer realm=\"{realm}\"")));
    let registry = setup
        .registry()
        .with_options(|options| options.with_retries(0).with_response_timeout(Duration::from_secs(2)));
    fails(
        &registry,
        &reference,
        ErrorKind::Unavailable,
        &["asking localhost for a token", "no answer began"],
    )
    .await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_unavailable_in_bounded_time() {
    let setup = Setup::new().await;
    // Not a loopback name, so that it is spoken to over TLS.
    let reference = format!("0.0.0.0:{}/demo:v1", mute("0.0.0.0").await);
    let registry = setup.registry().with_options(|options| options.with_connect_timeout(SHORT));
    fails(&registry, &reference, ErrorKind::Unavailable, &["check the address"]).await;
}

#[tokio::test]
async fn a_mirror_is_waited_for_as_long_as_its_file_says() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let dir = TempDir::new().unwrap();
    let directory = dir.path().join(setup.mock.host());
    fs::create_dir(&directory).unwrap();
    let mirror = format!("https://127.0.0.1:{}", mute("127.0.0.1").await);
    let text = format!("server = '{}'\n[host.'{mirror}']\ndial_timeout = '100ms'\n", setup.mock.url());
    fs::write(directory.join("hosts.toml"), text).unwrap();
    let an_hour = Duration::from_hours(1);
    let registry = setup.registry().with_options(|options| options.with_hosts_dir(dir.path()));
    pull(
        &registry
            .with_options(|options| options.with_connect_timeout(an_hour).with_response_timeout(an_hour)),
        &reference,
    )
    .await;
}

/// As a configuration may have them that means "never".
#[tokio::test]
async fn time_limits_may_be_as_good_as_none() {
    let (setup, reference) = Setup::with(one_layer(100_000)).await;
    let registry = setup.registry().with_options(|options| options.with_connect_timeout(Duration::MAX));
    pull(&registry.with_options(|options| options.with_response_timeout(Duration::MAX)), &reference).await;
    let (setup, reference) = Setup::with(one_layer(100_000)).await;
    pull(
        &setup
            .registry()
            .with_options(|options| options.with_stall_timeout(Duration::from_secs(u64::MAX / 2))),
        &reference,
    )
    .await;
}

#[tokio::test]
async fn retries_and_connections_may_have_no_end() {
    let (setup, reference) = Setup::with(one_layer(100_000)).await;
    setup.mock.fail_next(1, On::Blobs, Fault::HangUp);
    pull(&setup.registry().with_options(|options| options.with_retries(usize::MAX)), &reference).await;
    let (setup, reference) = Setup::with(one_layer(100_000)).await;
    pull(
        &setup.registry().with_options(|options| options.with_connections(usize::MAX.try_into().unwrap())),
        &reference,
    )
    .await;
}
