//! The stacks of `docs/stacks.md`, and what is asked of the registry in each: the numbers of its tables.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hoist::{Builder, CachePolicy, Durability, ErrorKind, Event, Events, Hoist, ImageRegistry};
use hoist_testkit::{
    Counts, Image, ImageIndex, MockRegistry, PLATFORM, Publishable, assert_valid_layout, write_layout,
};
use tempfile::TempDir;

const NOTHING: Counts =
    Counts { manifest_heads: 0, manifest_gets: 0, blob_gets: 0, blob_bytes: 0, token_requests: 0 };
const ONE_HEAD: Counts = Counts { manifest_heads: 1, ..NOTHING };

/// A registry with one tag that points at an index, and a host that is to pull it.
struct Host {
    mock: MockRegistry,
    dir: TempDir,
    reference: String,
}

impl Host {
    async fn new() -> Self {
        let mock = MockRegistry::start().await;
        let reference = mock.publish("team/app", "v1", ImageIndex::sample(1));
        Self { mock, dir: TempDir::new().unwrap(), reference }
    }

    fn builder(&self) -> Builder {
        let store = self.dir.path().join("store");
        Hoist::builder().store(store).platform(PLATFORM.parse().unwrap()).durability(Durability::None)
    }

    fn move_tag(&self) {
        self.mock.publish("team/app", "v1", ImageIndex::sample(2));
    }

    /// What a call asks of the registry.
    async fn cost<T>(&self, call: impl Future<Output = T>) -> (T, Counts) {
        self.mock.forget_requests();
        let answer = call.await;
        (answer, self.mock.counts())
    }

    /// What a pull asks of the registry, which must succeed.
    async fn pull(&self, hoist: &Hoist) -> Counts {
        let (image, counts) = self.cost(hoist.pull(&self.reference)).await;
        let image = image.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_valid_layout(&image.path, &image.digest);
        counts
    }

    /// What a pull asks that finds nothing here: two manifests, since the tag points at an index, and each blob.
    fn cold(seed: u64) -> Counts {
        let index = ImageIndex::sample(seed);
        let blobs = || index.image(PLATFORM).blobs();
        let blob_bytes = blobs().map(|blob| blob.bytes.len() as u64).sum();
        Counts { manifest_gets: 2, blob_gets: blobs().count(), blob_bytes, ..NOTHING }
    }
}

#[tokio::test]
async fn a_dev_laptop_asks_once_and_then_when_it_is_told_to() {
    let machine = Host::new().await;
    let hoist = machine.builder().build().unwrap();
    assert_eq!(hoist.to_string(), "cached(remote)");
    assert_eq!(machine.pull(&hoist).await, Host::cold(1));
    assert_eq!(machine.pull(&hoist).await, NOTHING, "warm");
    machine.move_tag();
    assert_eq!(machine.pull(&hoist).await, NOTHING, "a tag that has moved is not seen");
    let (forced, counts) = machine.cost(hoist.force_pull(&machine.reference)).await;
    assert_eq!(forced.unwrap().digest, ImageIndex::sample(2).image(PLATFORM).digest().to_string());
    assert_eq!((counts.manifest_heads, counts.manifest_gets), (0, 2), "forced, and the tag has moved");
    let (_, counts) = machine.cost(hoist.force_pull(&machine.reference)).await;
    assert_eq!(counts.blob_gets, 0, "forced, and all is here: it is only hashed again");
    machine.mock.go_down().await;
    assert_eq!(machine.pull(&hoist).await, NOTHING, "without a network");
}

#[tokio::test]
async fn an_air_gapped_host_asks_nobody() {
    let machine = Host::new().await;
    let images = machine.dir.path().join("images");
    let named = [("registry.example.com/team/app:v1", Publishable::from(Image::sample(1)))];
    write_layout(&images, named).unwrap();
    let hoist = machine.builder().local(&images).offline().build().unwrap();
    assert_eq!(hoist.to_string(), format!("cached(fallback(local({}), offline))", images.display()));
    let (pulled, counts) = machine.cost(hoist.pull("registry.example.com/team/app:v1")).await;
    assert_eq!((pulled.unwrap().digest, counts), (Image::sample(1).digest().to_string(), NOTHING));
    let (missing, counts) = machine.cost(hoist.pull(&machine.reference)).await;
    assert_eq!((missing.unwrap_err().kind(), counts), (&ErrorKind::Unavailable, NOTHING));
    assert_eq!(machine.mock.requests(), []);
}

/// A CI runner's stack; what it served stale is counted.
fn ci_runner(machine: &Host) -> (Hoist, Arc<Mutex<usize>>) {
    let stale = Arc::new(Mutex::new(0));
    let count = stale.clone();
    let events = Events::to(move |event| {
        if matches!(event, Event::ServedStale { .. }) {
            *count.lock().unwrap() += 1;
        }
    });
    let config = hoist::Config::default().with_stale().with_remote_options(|options| options.with_retries(0));
    let builder = Builder::config(machine.builder(), config).store(machine.dir.path().join("store"));
    let builder = builder.platform(PLATFORM.parse().unwrap()).cache(CachePolicy::Always).events(events);
    (builder.build().unwrap(), stale)
}

#[tokio::test]
async fn a_ci_runner_asks_each_time_what_a_tag_is_and_works_on_through_an_outage() {
    let machine = Host::new().await;
    let (hoist, stale) = ci_runner(&machine);
    assert_eq!(machine.pull(&hoist).await, Host::cold(1));
    assert_eq!(machine.pull(&hoist).await, ONE_HEAD, "warm");
    machine.move_tag();
    let moved = machine.pull(&hoist).await;
    assert_eq!((moved.manifest_heads, moved.manifest_gets), (1, 2), "the tag has moved");
    let pinned = format!("{}@{}", machine.reference, ImageIndex::sample(2).digest());
    assert_eq!(machine.cost(hoist.pull(&pinned)).await.1, NOTHING, "a digest");
    machine.mock.go_down().await;
    assert_eq!(machine.pull(&hoist).await, NOTHING);
    assert_eq!(*stale.lock().unwrap(), 1, "it is told that this may be out of date");
}

#[tokio::test]
async fn a_fleet_host_asks_once_in_a_while() {
    let machine = Host::new().await;
    let policy = CachePolicy::NewerThan(Duration::from_hours(1));
    let hoist = machine.builder().max_size(1 << 30).cache(policy).build().unwrap();
    assert_eq!(machine.pull(&hoist).await, Host::cold(1));
    assert_eq!(machine.pull(&hoist).await, NOTHING, "within the hour");
    let at_once = machine.builder().cache(CachePolicy::NewerThan(Duration::ZERO)).build().unwrap();
    assert_eq!(machine.pull(&at_once).await, ONE_HEAD, "after the hour");
    let other = machine.builder().build().unwrap();
    assert_eq!(machine.pull(&other).await, NOTHING, "another process on the same store");
}

#[tokio::test]
async fn a_fleet_host_asks_its_mirror_and_the_registry_only_where_that_is_down() {
    let (machine, mirror) = (Host::new().await, MockRegistry::start().await);
    mirror.publish("team/app", "v1", ImageIndex::sample(1));
    let with_mirror = || {
        let policy = CachePolicy::NewerThan(Duration::ZERO);
        let address = format!("http://{}", mirror.host());
        machine
            .builder()
            .remote_options(|options| options.with_mirror(machine.mock.host(), address))
            .cache(policy)
            .build()
            .unwrap()
    };
    let hoist = with_mirror();
    assert_eq!(machine.pull(&hoist).await, NOTHING, "of the registry");
    let asked = mirror.counts();
    assert_eq!((asked.manifest_gets, asked.blob_gets), (2, Host::cold(1).blob_gets), "of the mirror");
    mirror.go_down().await;
    assert_eq!(machine.pull(&hoist).await, ONE_HEAD, "the mirror is down");
    assert_eq!(machine.pull(&hoist).await, ONE_HEAD, "and is not waited for again");
}

#[tokio::test]
async fn another_platform_costs_its_own_image_and_shares_the_rest() {
    let machine = Host::new().await;
    let hoist = machine.builder().build().unwrap();
    machine.pull(&hoist).await;
    let arm = hoist.for_platform("linux/arm64".parse().unwrap());
    let (image, counts) = machine.cost(arm.pull(&machine.reference)).await;
    assert_eq!(image.unwrap().digest, ImageIndex::sample(1).image("linux/arm64").digest().to_string());
    assert_eq!(counts.manifest_gets, 2);
    assert_eq!(machine.cost(arm.pull(&machine.reference)).await.1, NOTHING, "warm");
    assert_eq!(machine.pull(&hoist).await, NOTHING, "the first one is as it was");
}

#[test]
fn the_files_of_the_document_make_these_stacks() {
    let document = include_str!("../../../docs/stacks.md");
    let files: Vec<_> =
        document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let config = hoist::Config::from_toml(file).unwrap_or_else(|error| panic!("{}", error.report()));
        assert!(config.root.starts_with(Path::new("/")));
    }
}
