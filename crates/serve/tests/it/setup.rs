//! What these tests share: a registry, a store that pulls from it, and a server over the store.

use std::net::SocketAddr;

use hoist_core::{Descriptor, Digest, ImageRegistry, Platform};
use hoist_remote::{Credentials, RemoteRegistry};
use hoist_serve::{Limits, ServeOptions, Server, Stopper};
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Blob, Image, MockRegistry, PLATFORM, Publishable, plain_client};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) struct Setup {
    pub(crate) mock: MockRegistry,
    pub(crate) store: Store,
    _dir: TempDir,
}

/// A running server.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stopper: Stopper,
    pub(crate) running: JoinHandle<()>,
    registry: String,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(dir.path().join("store"), options).unwrap();
        Self { mock: MockRegistry::start().await, store, _dir: dir }
    }

    /// With this in the registry and in the store, as `demo:v1`.
    pub(crate) async fn with(what: impl Into<Publishable>) -> Self {
        let setup = Self::new().await;
        setup.pull("demo", "v1", what).await;
        setup
    }

    /// Publishes something, and pulls it.
    pub(crate) async fn pull(&self, repository: &str, tag: &str, what: impl Into<Publishable>) {
        let reference = self.mock.publish(repository, tag, what);
        self.registry().pull(&reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    /// The same for which the registry wants credentials.
    pub(crate) async fn pull_private(&self, repository: &str, tag: &str, image: &Image) {
        self.mock.require(hoist_testkit::Auth::basic("me", "secret"));
        let reference = self.mock.publish(repository, tag, image.clone());
        let mine = Credentials::basic("me", "secret");
        let host = self.mock.host();
        let registry = self.registry().with_options(|options| options.with_credentials(host, mine));
        registry.pull(&reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    fn registry(&self) -> RemoteRegistry {
        let platform: Platform = PLATFORM.parse().unwrap();
        RemoteRegistry::new(self.store.clone()).with_platform(platform)
    }

    pub(crate) async fn serve(&self) -> Served {
        self.serve_with(ServeOptions::default(), Limits::default()).await
    }

    pub(crate) async fn serve_with(&self, options: ServeOptions, limits: Limits) -> Served {
        let registry = self.mock.host();
        let options = options.with_default_registry(&registry);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), &self.store, options).await.unwrap();
        let server = server.with_limits(limits);
        let (address, stopper) = (server.address(), server.stopper());
        Served { address, stopper, running: tokio::spawn(server.run()), registry }
    }
}

impl Served {
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (name.parse::<reqwest::header::HeaderName>().unwrap(), value.parse().unwrap())
            })
            .collect();
        let url = format!("http://{}{path}", self.address);
        plain_client().request(method, url).headers(headers).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        self.get(path).await.status()
    }

    /// The status of a blob, under a name that does not matter.
    pub(crate) async fn blob(&self, digest: &Digest) -> StatusCode {
        self.status(&format!("/v2/any/name/blobs/{digest}")).await
    }

    /// The status of a manifest by its digest.
    pub(crate) async fn manifest(&self, digest: &Digest) -> StatusCode {
        self.status(&format!("/v2/any/name/manifests/{digest}")).await
    }

    /// The registry as a query.
    pub(crate) fn ns(&self) -> String {
        format!("ns={}", self.registry)
    }

    /// Sends these bytes, and returns all that comes back until the server closes the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        answer
    }
}

pub(crate) fn described(blob: &Blob) -> Descriptor {
    Descriptor::of(&blob.media_type, &blob.bytes)
}

/// The digest of the first layer.
pub(crate) fn layer(image: &Image) -> &Digest {
    &image.layers()[0].digest
}
