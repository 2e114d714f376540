//! How the simplest backend handles registries that fail, lie or never stop sending, and what it reveals to them.
//! `tests/tests/contract.rs` tests that it keeps the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hoist_core::{Error, ErrorKind, Event, Events, ImageRegistry};
use hoist_distribution::DistributionRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Auth, Fault, Image, ImageIndex, Layer, MockRegistry, On, PLATFORM, assert_valid_layout};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const GIGABYTE: u64 = 1 << 30;
/// How many unread bytes sockets and buffers may hold.
const UNDER_WAY: u64 = 64 << 20;

/// A mocked registry, and the backend over a store.
struct Setup {
    mock: MockRegistry,
    registry: DistributionRegistry,
    _dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(dir.path().join("store"), options).unwrap();
        let registry = DistributionRegistry::new(store).unwrap().with_platform(PLATFORM.parse().unwrap());
        Self { mock: MockRegistry::start().await, registry, _dir: dir }
    }

    /// The error of a pull that fails, after which nothing is cached.
    async fn refused(&self, reference: &str) -> Error {
        let error = self.registry.pull(reference).await.expect_err("this cannot be pulled");
        assert!(error.report().contains(reference), "{}", error.report());
        assert!(!self.registry.is_cached(reference).await, "a failure publishes nothing");
        error
    }

    async fn assert_refused(&self, reference: &str, kind: ErrorKind) {
        let error = self.refused(reference).await;
        assert_eq!(*error.kind(), kind, "{}", error.report());
    }
}

/// A server that answers each path containing this with a gigabyte under this status, and every other path with a
/// manifest of one blob.
struct Endless {
    host: String,
    sent: Arc<AtomicU64>,
}

impl Endless {
    async fn start(endless: &'static str, status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, endless, status, counter.clone()));
            }
        });
        Self { host, sent }
    }

    fn assert_flat(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        assert!(sent < UNDER_WAY, "{sent} bytes were taken in");
    }
}

/// Answers one request, and closes the connection.
async fn serve(
    mut stream: TcpStream,
    endless: &str,
    status: &str,
    sent: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let mut request = vec![0; 8 << 10];
    let count = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..count]).into_owned();
    if !request.lines().next().unwrap_or_default().contains(endless) {
        let manifest = Image::builder().layer(Layer::random(100, 1)).build().manifest().bytes.clone();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", manifest.len());
        stream.write_all(head.as_bytes()).await?;
        return stream.write_all(&manifest).await;
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {GIGABYTE}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let spaces = vec![b' '; 64 << 10];
    while !request.starts_with("HEAD") {
        stream.write_all(&spaces).await?;
        sent.fetch_add(spaces.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test]
async fn a_manifest_that_does_not_end_is_refused_with_flat_memory() {
    let (setup, server) = (Setup::new().await, Endless::start("/manifests/", "200 OK").await);
    setup.assert_refused(&format!("{}/demo:v1", server.host), ErrorKind::TooLarge).await;
    server.assert_flat();
}

#[tokio::test]
async fn an_error_that_does_not_end_is_reported_with_flat_memory() {
    for place in ["/manifests/", "/blobs/"] {
        for (status, kind) in [
            ("500 Internal Server Error", ErrorKind::Unavailable),
            ("404 Not Found", ErrorKind::NotFound),
            ("401 Unauthorized", ErrorKind::Unauthorized),
        ] {
            let (setup, server) = (Setup::new().await, Endless::start(place, status).await);
            setup.assert_refused(&format!("{}/demo:v1", server.host), kind).await;
            server.assert_flat();
        }
    }
}

#[tokio::test]
async fn a_blob_that_does_not_end_is_refused_with_flat_memory() {
    let (setup, server) = (Setup::new().await, Endless::start("/blobs/", "200 OK").await);
    setup.assert_refused(&format!("{}/demo:v1", server.host), ErrorKind::SizeMismatch).await;
    server.assert_flat();
}

#[tokio::test]
async fn no_credentials_are_sent_to_a_registry_or_to_its_token_server() {
    for auth in [Auth::basic("me", "canary"), Auth::token("me", "canary")] {
        let setup = Setup::new().await;
        let reference = setup.mock.publish("demo", "v1", Image::sample(1));
        setup.mock.require(auth);
        let error = setup.refused(&reference).await;
        assert_eq!(*error.kind(), ErrorKind::Unauthorized, "{}", error.report());
        assert!(error.help().unwrap().contains("`remote.client`"), "{}", error.report());
        assert!(setup.mock.requests().iter().all(|seen| seen.path.starts_with("/v2/demo/")));
    }
}

#[tokio::test]
async fn each_status_has_its_kind_of_error() {
    for (status, kind) in [
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (429, ErrorKind::RateLimited { retry_after: None }),
        (500, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        for on in [On::Manifests, On::Blobs] {
            let setup = Setup::new().await;
            let reference = setup.mock.publish("demo", "v1", Image::sample(1));
            setup.mock.fail(on, Fault::Status(status));
            setup.assert_refused(&reference, kind.clone()).await;
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_and_its_signature_is_in_no_error() {
    let (setup, storage) = (Setup::new().await, MockRegistry::start().await);
    let image = Image::sample(1);
    let reference = setup.mock.publish("demo", "v1", &image);
    storage.publish("demo", "v1", &image);
    setup.mock.fail(On::Blobs, Fault::Redirect(storage.url()));
    storage.fail(On::Everything, Fault::HangUp);
    let error = setup.refused(&reference).await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    for text in [error.report(), format!("{error:?}")] {
        assert!(!text.contains("http://") && !text.contains("signature"), "{text}");
    }
    storage.repair();
    let pulled = setup.registry.pull(&reference).await.unwrap();
    assert_valid_layout(&pulled.path, &pulled.digest);
}

#[tokio::test]
async fn plain_http_is_used_only_where_it_is_configured() {
    let setup = Setup::new().await;
    // Not a loopback name, so the client uses TLS.
    let port = setup.mock.host().rsplit_once(':').unwrap().1.to_owned();
    setup.assert_refused(&format!("0.0.0.0:{port}/demo:v1"), ErrorKind::Unavailable).await;
    let image = Image::sample(1);
    setup.mock.publish("demo", "v1", &image);
    let plain = setup.registry.clone().with_plain_http(format!("0.0.0.0:{port}"));
    assert_eq!(
        plain.pull(&format!("0.0.0.0:{port}/demo:v1")).await.unwrap().digest,
        image.digest().to_string()
    );
}

#[tokio::test]
async fn progress_is_reported_byte_by_byte() {
    let setup = Setup::new().await;
    let image = Image::sample(1);
    let reference = setup.mock.publish("demo", "v1", ImageIndex::new([image.clone()]));
    let counted = Arc::new(AtomicU64::new(0));
    let sink = counted.clone();
    let events = Events::to(move |event| {
        if let Event::BlobProgress { bytes, .. } = event {
            sink.fetch_add(bytes, Ordering::Relaxed);
        }
    });
    setup.registry.clone().with_events(events).pull(&reference).await.unwrap();
    let size: usize = image.blobs().map(|blob| blob.bytes.len()).sum();
    assert_eq!(counted.load(Ordering::Relaxed), size as u64);
}
