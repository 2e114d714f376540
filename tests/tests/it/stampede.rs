//! A thousand tasks on one stack, while tags move, images are removed, pulls are given up half-way and room is short: each
//! answer is a whole image that its name had, or an honest error, and the numbers add up.
//!
//! `HOIST_SEED` makes others do other things.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::future::{Either, select};
use hoist_cache::{Cached, Limited, Observed, counted};
use hoist_core::{Digest, ErrorKind, Event, Events, ImageRegistry, Platform, Result};
use hoist_remote::RemoteRegistry;
use hoist_store::{Durability, GcOptions, Lease, Store, StoreOptions, blocking};
use hoist_testkit::{Image, Layer, MockRegistry, PLATFORM, check_layout};
use hoist_tests::{Dice, Numbers, check_content, check_refs};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

const TASKS: usize = 1000;
const REFERENCES: usize = 50;
const IMAGES: usize = 20;
/// Who gives up a pull does so when so many events were told, of all pulls, at the most.
const PATIENCE: usize = 2000;
/// The disk space for less than half of the images, each of which has some 60 kB.
const ROOM: u64 = 500_000;

/// All that the tasks share.
struct World {
    mock: MockRegistry,
    stack: Observed<Cached<Limited<RemoteRegistry>>>,
    store: Store,
    /// What each reference has ever led to.
    led_to: Mutex<HashMap<String, HashSet<String>>>,
    /// How many events were told.
    heard: Arc<watch::Sender<usize>>,
}

/// What the tasks have seen.
#[derive(Debug, Default)]
struct Seen {
    pulls: u64,
    answers: u64,
    refusals: u64,
    given_up: u64,
    /// Answers that were checked; the others were removed or evicted before that.
    checked: u64,
}

fn image(number: usize) -> Image {
    let number = number as u64;
    Image::builder().layers([Layer::random(20_000, number), Layer::random(40_000, number + 1000)]).build()
}

impl World {
    /// Moves a tag to an image, and says what it is called.
    fn publish(&self, tag: usize, number: usize) -> String {
        let (image, name) = (image(number), format!("library/demo{tag}"));
        let reference = format!("{}/{name}:v1", self.mock.host());
        let mut led_to = self.led_to.lock().unwrap();
        led_to.entry(reference.clone()).or_default().insert(image.digest().to_string());
        assert_eq!(self.mock.publish(&name, "v1", image), reference);
        reference
    }

    fn reference(&self, tag: usize) -> String {
        format!("{}/library/demo{tag}:v1", self.mock.host())
    }

    /// One of a thousand.
    async fn task(&self, number: usize) -> Seen {
        let mut dice = Dice::new(number as u64);
        let tag = dice.below(REFERENCES);
        let reference = self.reference(tag);
        let mut seen = Seen::default();
        for _ in 0..3 {
            match dice.below(20) {
                roll @ 0..15 => {
                    let patience = if dice.below(4) == 0 { dice.below(PATIENCE) } else { usize::MAX };
                    self.pull(&reference, roll >= 12, patience, &mut seen).await;
                }
                15..17 => _ = self.publish(tag, dice.below(IMAGES)),
                17..19 => _ = self.stack.remove(&reference).await.unwrap(),
                _ => {
                    let listed = self.stack.list_cached().await.unwrap();
                    assert!(listed.is_sorted() && listed.len() <= REFERENCES);
                }
            }
        }
        seen
    }

    async fn pull(&self, reference: &str, force: bool, patience: usize, seen: &mut Seen) {
        let pull = if force { self.stack.force_pull(reference) } else { self.stack.pull(reference) };
        seen.pulls += 1;
        let Some(outcome) = self.wait(pull, patience).await else {
            seen.given_up += 1;
            return;
        };
        match outcome {
            Ok(image) => {
                seen.answers += 1;
                assert_eq!(image.reference, reference);
                assert!(self.led_to.lock().unwrap()[reference].contains(&image.digest), "{image:?}");
                let lease = self.lease(&image.digest).await.unwrap();
                if let Some(lease) = lease {
                    seen.checked += 1;
                    check_layout(&image.path, &image.digest).unwrap();
                    drop(lease);
                }
            }
            Err(error) => {
                seen.refusals += 1;
                assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
                assert!(
                    error.report().contains("was removed or replaced each of the 3 times"),
                    "{}",
                    error.report()
                );
            }
        }
    }

    /// What comes of a pull, unless so much is told of all pulls first: then it is dropped, wherever it is.
    async fn wait<T>(&self, pull: impl Future<Output = T>, patience: usize) -> Option<T> {
        let mut heard = self.heard.subscribe();
        let enough = heard.borrow().saturating_add(patience);
        match select(pin!(pull), pin!(heard.wait_for(|heard| *heard >= enough))).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(_) => None,
        }
    }

    async fn lease(&self, digest: &str) -> Result<Option<Lease>> {
        let (store, digest) = (self.store.clone(), digest.parse::<Digest>()?);
        blocking(move || store.lease(&digest)).await
    }
}

/// What is reported, counted by hand.
#[derive(Debug, Default)]
struct Told {
    begun: u64,
    ended: u64,
    hits: u64,
    evicted: u64,
    /// How large each blob is that is on its way, and what of it came since it was begun.
    came: HashMap<Digest, (u64, u64)>,
    verified: u64,
    /// What came of blobs whose pull was given up.
    abandoned: u64,
}

impl Told {
    fn hear(&mut self, event: Event) {
        self.ended += u64::from(event.is_end());
        match event {
            Event::Started { .. } => self.begun += 1,
            Event::Hit { .. } => self.hits += 1,
            Event::Evicted { .. } => self.evicted += 1,
            Event::BlobStarted { digest, size, .. } => {
                self.abandoned += self.came.insert(digest, (size, 0)).map_or(0, |(_, came)| came);
            }
            Event::BlobProgress { digest, bytes, .. } => {
                self.came.get_mut(&digest).expect("it was begun").1 += bytes;
            }
            Event::BlobVerified { digest, .. } => {
                let (size, came) = self.came.remove(&digest).expect("it was begun");
                assert_eq!(came, size, "what came is what was verified");
                self.verified += came;
            }
            _ => {}
        }
    }
}

#[test]
fn a_thousand_tasks_get_whole_images_or_honest_errors_and_the_numbers_add_up() {
    let numbers = Numbers::default();
    metrics::set_global_recorder(numbers.clone()).expect("there is one test here");
    let told = Arc::<Mutex<Told>>::default();
    let ears = told.clone();
    let heard = Arc::new(watch::Sender::new(0));
    let count = heard.clone();
    let events = counted(Events::to(move |event| {
        ears.lock().unwrap().hear(event);
        count.send_modify(|heard| *heard += 1);
    }));

    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_durability(Durability::None);
    let store = Store::open(dir.path().join("store"), options).unwrap();
    store.report_to(events.clone());
    let platform: Platform = PLATFORM.parse().unwrap();
    let within = events.within();
    let remote =
        RemoteRegistry::new(store.clone()).with_platform(platform.clone()).with_events(within.clone());
    let cached = Cached::new(Limited::new(8, remote), store.clone());
    let cached = cached.with_platform(platform.clone()).with_events(within).with_max_size(ROOM);
    let stack = Observed::new(cached).with_platform(platform).with_events(events);

    let runtime = Runtime::new().unwrap();
    let mock = runtime.block_on(MockRegistry::start());
    let world = Arc::new(World { mock, stack, store, led_to: Mutex::default(), heard });
    let all = runtime.block_on(run(&world));
    drop(runtime); // which waits for what the pulls that were given up had begun

    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.abandoned += told.came.values().map(|(_, came)| came).sum::<u64>();
    println!(
        "{all:?}, {} hits, {} evictions, {} bytes, {} of them in vain",
        told.hits, told.evicted, told.verified, told.abandoned
    );
    assert!(all.given_up > 0, "{told:?}");
    assert!(all.checked > all.answers / 2, "most images are still there when they are looked at");
    let sum = |name, label| numbers.sum(name, label);
    assert_eq!(sum("hoist_pulls_total", ""), all.pulls);
    assert_eq!(sum("hoist_pulls_total", "ok"), all.answers);
    assert_eq!(sum("hoist_pulls_total", "storage"), all.refusals);
    assert_eq!(sum("hoist_pulls_total", "cancelled"), all.given_up);
    assert_eq!(all.answers + all.refusals + all.given_up, all.pulls);
    assert_eq!(sum("hoist_pull_duration_seconds", ""), all.pulls);
    assert_eq!((told.begun, told.ended), (all.pulls, all.pulls));
    assert!(told.hits > 0 && told.hits < all.answers);
    assert_eq!(sum("hoist_cache_hits_total", ""), told.hits);
    assert!(told.evicted > 0, "there is not enough room");
    assert_eq!(sum("hoist_evictions_total", ""), told.evicted);
    assert_eq!(sum("hoist_blob_bytes_total", ""), told.verified + told.abandoned);
    assert!(sum("hoist_blob_bytes_total", "registry") <= world.mock.counts().blob_bytes);
    check(&world);
}

/// What a thousand tasks have seen.
async fn run(world: &Arc<World>) -> Seen {
    for tag in 0..REFERENCES {
        world.publish(tag, tag % IMAGES);
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let world = world.clone();
            tokio::spawn(async move { world.task(number).await })
        })
        .collect();
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await.expect("no task panics");
        all.pulls += seen.pulls;
        all.answers += seen.answers;
        all.refusals += seen.refusals;
        all.given_up += seen.given_up;
        all.checked += seen.checked;
    }
    all
}

/// Looks at what is left when nobody does anything any more.
fn check(world: &World) {
    let root = world.store.root();
    assert_eq!(check_content(root), Ok(()));
    assert_eq!(check_refs(root), Ok(()));
    let collected = world.store.gc(GcOptions::default().with_max_size(ROOM)).unwrap();
    assert!(collected.held.unwrap() <= ROOM, "{collected:?}");
    Runtime::new().unwrap().block_on(async {
        for name in world.stack.list_cached().await.unwrap() {
            assert!(world.stack.is_cached(&name).await, "what is listed is cached");
        }
    });
}
