//! Futures that are begun and never polled again: whatever they hold, all else ends.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};

use futures_util::future::{Either, join_all, select};
use futures_util::{StreamExt, poll, stream};
use hoist::{Config, Durability, Hoist, ImageRegistry, PulledImage, RemoteRegistry, Result, SourceContext};
use hoist_testkit::{Auth, Image, ImageIndex, Layer, MockRegistry, PLATFORM};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

/// What a blob's answer is held after, in bytes: all layers are larger.
const SOME: u64 = 1000;

/// A program's own registry, which does one thing at a time.
struct OneByOne(RemoteRegistry, Mutex<()>);

#[async_trait::async_trait]
impl ImageRegistry for OneByOne {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let _turn = self.1.lock().await;
        self.0.pull(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let _turn = self.1.lock().await;
        self.0.force_pull(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.0.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.0.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.0.list_cached().await
    }
}

impl fmt::Display for OneByOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one-by-one")
    }
}

/// How a stack is made.
#[derive(Debug, Clone, Copy)]
struct Stack {
    connections: usize,
    max_pulls: Option<usize>,
    is_cached: bool,
    is_own: bool,
}

impl Stack {
    fn open(self, dir: &TempDir) -> Hoist {
        let mut config = Config::default()
            .with_root(dir.path().join("store"))
            .with_platform(PLATFORM.parse().unwrap())
            .with_durability(Durability::None)
            .with_remote_options(|options| options.with_connections(self.connections.try_into().unwrap()));
        if let Some(pulls) = self.max_pulls.and_then(NonZeroUsize::new) {
            config = config.with_max_pulls(pulls);
        }
        if !self.is_cached {
            config = config.without_cache();
        }
        let connections = self.connections;
        let own = move |context: &SourceContext| {
            let remote = RemoteRegistry::new(context.store.clone()).with_platform(context.platform.clone());
            OneByOne(
                remote.with_options(|options| options.with_connections(connections.try_into().unwrap())),
                Mutex::default(),
            )
        };
        let builder = Hoist::builder().config(config);
        let builder = if self.is_own { builder.source(own) } else { builder };
        builder.build().unwrap()
    }
}

/// A registry that wants a token, with some images, of which two share a layer.
struct Origin {
    mock: MockRegistry,
    images: Vec<String>,
    other: String,
}

impl Origin {
    async fn new() -> Self {
        let mock = MockRegistry::start().await;
        mock.require(Auth::AnonymousToken);
        let publish = |seed: u64| {
            let layers = [seed, 1000 + seed / 2, 2000 + seed].map(|seed| Layer::random(100_000, seed));
            mock.publish("team/app", &format!("v{seed}"), Image::builder().layers(layers).build())
        };
        let images = (0..4).map(publish).collect();
        let other = mock.publish("team/other", "v1", ImageIndex::sample(1));
        Self { mock, images, other }
    }
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn many_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

type Held<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Begins all that a stack can be asked, and polls none of it again.
async fn hold<'a>(hoist: &'a Hoist, origin: &'a Origin) -> Vec<Held<'a>> {
    let (repository, reference) = (origin.other.trim_end_matches(":v1"), &origin.images[0]);
    let mut held: Vec<Held<'a>> = vec![
        Box::pin(async { drop(hoist.tags(repository).await) }),
        Box::pin(async { drop(hoist.resolve_remote(reference).await) }),
        Box::pin(async { drop(hoist.pull(reference).await) }),
        Box::pin(async { drop(hoist.force_pull(reference).await) }),
        Box::pin(async { drop(hoist.pull_leased(reference).await) }),
    ];
    for future in &mut held {
        assert!(poll!(future.as_mut()).is_pending(), "it has to ask somebody");
    }
    held
}

/// Pulls side by side, in all the ways that there are.
async fn pull_all(hoist: &Hoist, origin: &Origin) {
    let mut pulls = stream::iter(&origin.images).map(|image| hoist.pull(image)).buffer_unordered(3);
    while let Some(pulled) = pulls.next().await {
        pulled.unwrap();
        // Those in the stream are not polled meanwhile.
        hoist.force_pull(&origin.other).await.unwrap();
    }
    for pulled in join_all(origin.images.iter().map(|image| hoist.force_pull(image))).await {
        pulled.unwrap();
    }
    let [one, other] = [&origin.images[1], &origin.images[2]].map(|image| hoist.force_pull(image));
    match select(pin!(one), pin!(other)).await {
        // The one that is left is not polled until the other one is through.
        Either::Left((pulled, left)) | Either::Right((pulled, left)) => {
            pulled.unwrap();
            drop(hoist.pull_leased(&origin.images[3]).await.unwrap());
            hoist.tags(origin.other.trim_end_matches(":v1")).await.unwrap();
            hoist.resolve_remote(&origin.images[0]).await.unwrap();
            left.await.unwrap();
        }
    }
}

fn all_else_ends(runtime: fn() -> Runtime) {
    for connections in [1, 4, 16] {
        for (max_pulls, is_cached, is_own) in [
            (None, true, false),
            (Some(1), true, false),
            (Some(2), true, false),
            (Some(1), false, false),
            (None, false, false),
            (None, true, true),
            (Some(2), false, true),
        ] {
            let stack = Stack { connections, max_pulls, is_cached, is_own };
            runtime().block_on(async {
                let (dir, origin) = (TempDir::new().unwrap(), Origin::new().await);
                let hoist = stack.open(&dir);
                let held = hold(&hoist, &origin).await;
                pull_all(&hoist, &origin).await;
                drop(held);
            });
        }
    }
}

#[test]
fn all_else_ends_on_one_thread() {
    all_else_ends(one_thread);
}

#[test]
fn all_else_ends_on_many_threads() {
    all_else_ends(many_threads);
}

#[test]
fn all_else_ends_where_a_pull_stands_still_in_the_middle_of_its_blobs() {
    for runtime in [one_thread(), many_threads()] {
        for connections in [1, 4, 16] {
            let stack = Stack { connections, max_pulls: Some(1), is_cached: true, is_own: false };
            runtime.block_on(async {
                let (dir, origin) = (TempDir::new().unwrap(), Origin::new().await);
                let hoist = stack.open(&dir);
                let gate = origin.mock.hold_blobs(SOME);
                let mut held = pin!(hoist.pull(&origin.images[0]));
                {
                    let until_held = pin!(gate.until_held(1));
                    let Either::Right(_) = select(held.as_mut(), until_held).await else {
                        panic!("its blobs are held");
                    };
                }
                gate.release();
                pull_all(&hoist, &origin).await;
            });
        }
    }
}
