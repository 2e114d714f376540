//! What these tests share: a mocked registry, a store, and the two ways that a pull can end.

use std::time::Duration;

use hoist_core::{Error, ErrorKind, ImageRegistry, PulledImage};
use hoist_remote::{Credentials, RemoteRegistry};
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Image, Layer, MockRegistry, PLATFORM, Publishable, assert_valid_layout};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The password in every test; it must not be seen anywhere, nor in the header that is made of it.
pub(crate) const SECRET: &str = "canary";
const SECRETS: [&str; 3] = [SECRET, "bWU6Y2FuYXJ5", "token-"];

/// A mocked registry, and a store to pull into.
pub(crate) struct Setup {
    pub(crate) mock: MockRegistry,
    pub(crate) store: Store,
    _dir: TempDir,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(dir.path().join("store"), options).unwrap();
        Self { mock: MockRegistry::start().await, store, _dir: dir }
    }

    /// With this under a tag, whose reference is returned.
    pub(crate) async fn with(what: impl Into<Publishable>) -> (Self, String) {
        let setup = Self::new().await;
        let reference = setup.mock.publish("demo", "v1", what);
        (setup, reference)
    }

    /// A registry that tries a second time, at once.
    pub(crate) fn registry(&self) -> RemoteRegistry {
        RemoteRegistry::new(self.store.clone())
            .with_platform(PLATFORM.parse().unwrap())
            .with_options(|options| options.with_retries(1))
    }

    /// The same with credentials, good or not as the mocked registry has it.
    pub(crate) fn registry_as_me(&self) -> RemoteRegistry {
        self.registry().with_options(|options| {
            options.with_credentials(self.mock.host(), Credentials::basic("me", SECRET))
        })
    }

    /// A pull that succeeds, with the whole image.
    pub(crate) async fn pull(&self, reference: &str) -> PulledImage {
        pull(&self.registry(), reference).await
    }

    /// The same of what is here already: all is asked for again.
    pub(crate) async fn force_pull(&self, reference: &str) {
        let pulled = self.registry().force_pull(reference).await;
        pulled.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    /// A pull that fails: with such an error, whose report has these words.
    pub(crate) async fn fails(&self, reference: &str, kind: ErrorKind, words: &[&str]) {
        fails(&self.registry(), reference, kind, words).await;
    }

    /// Whether the store has the bytes of this blob under its name.
    pub(crate) fn has(&self, digest: &hoist_core::Digest) -> bool {
        self.store.root().join("blobs/sha256").join(digest.hex()).exists()
    }
}

pub(crate) async fn pull(registry: &RemoteRegistry, reference: &str) -> PulledImage {
    let pulled = registry.pull(reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_valid_layout(&pulled.path, &pulled.digest);
    pulled
}

pub(crate) async fn fails(registry: &RemoteRegistry, reference: &str, kind: ErrorKind, words: &[&str]) {
    let error = refused(registry, reference).await;
    assert_eq!(*error.kind(), kind, "{}", error.report());
    for word in words {
        assert!(error.report().contains(word), "no {word:?} in {}", error.report());
    }
}

/// The error of a pull that fails: it names the reference and no secret, and nothing is cached.
pub(crate) async fn refused(registry: &RemoteRegistry, reference: &str) -> Error {
    let error = registry.pull(reference).await.expect_err("this cannot be pulled");
    assert!(error.report().contains(reference), "{}", error.report());
    assert_no_secret(&format!("{} {error:?} {registry:?}", error.report()));
    assert!(!registry.is_cached(reference).await, "a failure publishes nothing");
    error
}

pub(crate) fn assert_no_secret(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// An image of one layer, of so many bytes and some more.
pub(crate) fn one_layer(len: usize) -> Image {
    Image::builder().layer(Layer::random(len, 1)).build()
}

/// Reads a request, and begins to answer it with this status, and a body of so many bytes. `false`: there is no body,
/// since the request has no token of the one who gives them out, and is asked for one.
pub(crate) async fn begin_answer(
    stream: &mut TcpStream,
    status: &str,
    realm: Option<String>,
    length: u64,
) -> std::io::Result<bool> {
    let mut request = vec![0; 8 << 10];
    let count = stream.read(&mut request).await?;
    let is_for_token = request[..count].starts_with(b"GET /token");
    if let Some(realm) = realm.filter(|_| !is_for_token) {
        let head = format!("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"{realm}\"\r\n");
        let head = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes()).await.map(|()| false);
    }
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map(|()| true)
}

/// A way to a registry on which each connection brings so many bytes, and then one in a hundred milliseconds.
pub(crate) async fn trickling(registry: String, bytes: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut from_client, mut to_client) = listener.accept().await.unwrap().0.into_split();
            let (mut from_registry, mut to_registry) =
                TcpStream::connect(&registry).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_registry).await });
            tokio::spawn(async move {
                tokio::io::copy(&mut (&mut from_registry).take(bytes), &mut to_client).await?;
                while let Ok(byte) = from_registry.read_u8().await {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    to_client.write_u8(byte).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    address
}
