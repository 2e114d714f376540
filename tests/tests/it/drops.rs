//! Pulls that are dropped, each at a moment of its own, which is said by what the pull does: at its n-th event, its n-th
//! request, or a step of its store. No name is given afterwards, and nothing is left.
//!
//! `HOIST_DROPS` says how many are dropped (`just drops`), and `HOIST_SEED` makes other moments of them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use futures_util::poll;
use hoist::{
    Admission, Candidate, Config, Durability, Event, Events, FsckOptions, GcOptions, Hoist, ImageRegistry,
    RemoteRegistry, Result,
};
use hoist_cache::Limited;
use hoist_testkit::{Image, Layer, MockRegistry, PLATFORM, assert_valid_layout};
use hoist_tests::{Dice, check_content, check_nothing_left, check_refs};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// How many pulls are dropped, unless `HOIST_DROPS` says otherwise.
const DROPS: usize = 100;
/// More than a pull has of these.
const EVENTS: usize = 16;
const REQUESTS: usize = 6;
/// What a pull makes in its store, in this order.
const STEPS: [&str; 6] = ["staging", "ingest", "blobs/sha256", "images/sha256", "names/sha256", "refs"];

/// When a pull is dropped.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Event(usize),
    Request(usize),
    /// When something is in this directory of the store.
    Step(&'static str),
    /// While it is asked whether the image may have its name, which goes on only after the drop returned.
    Admission,
}

impl Moment {
    fn any(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Event(dice.below(EVENTS) + 1),
            1 => Self::Request(dice.below(REQUESTS) + 1),
            2 => Self::Admission,
            _ => Self::Step(STEPS[dice.below(STEPS.len())]),
        }
    }
}

/// Holds whoever names an image, once, until it is let go.
struct Held {
    is_on: AtomicBool,
    has_come: AtomicBool,
    barrier: Barrier,
}

impl Admission for Held {
    fn admit(&self, _: &Candidate<'_>) -> Result<()> {
        if self.is_on.swap(false, Ordering::SeqCst) {
            self.has_come.store(true, Ordering::SeqCst);
            self.barrier.wait();
        }
        Ok(())
    }
}

/// What was told of pulls.
#[derive(Default)]
struct Told {
    events: AtomicUsize,
    started: AtomicUsize,
    ended: AtomicUsize,
    cancelled: AtomicUsize,
}

impl Told {
    fn hear(&self, event: &Event) {
        let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::SeqCst);
        count(&self.events);
        match event {
            Event::Started { .. } => _ = count(&self.started),
            Event::Cancelled { .. } => _ = (count(&self.cancelled), count(&self.ended)),
            event if event.is_end() => _ = count(&self.ended),
            _ => {}
        }
    }
}

/// A store, and a stack in front of the registry.
struct Machine {
    dir: TempDir,
    hoist: Hoist,
    told: Arc<Told>,
    held: Arc<Held>,
}

impl Machine {
    fn new(dice: &mut Dice) -> Self {
        let dir = TempDir::new().unwrap();
        let (told, held) = (
            Arc::<Told>::default(),
            Arc::new(Held { is_on: false.into(), has_come: false.into(), barrier: Barrier::new(2) }),
        );
        let mut config = Config::default()
            .with_root(dir.path().join("store"))
            .with_platform(PLATFORM.parse().unwrap())
            .with_durability(if dice.below(4) == 0 { Durability::Synced } else { Durability::None });
        if dice.below(3) == 0 {
            config = config.without_cache();
        }
        if dice.below(3) == 0 {
            config = config.with_max_pulls(1.try_into().unwrap());
        }
        let sink = told.clone();
        let builder = Hoist::builder().config(config).events(Events::to(move |event| sink.hear(&event)));
        let builder = builder.admission(Shared(held.clone()));
        let builder = if dice.below(3) == 0 {
            builder.source(|context| {
                let remote = RemoteRegistry::new(context.store.clone()).with_events(context.events.clone());
                Limited::new(2, remote.with_platform(context.platform.clone()))
            })
        } else {
            builder
        };
        Self { hoist: builder.build().unwrap(), dir, told, held }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }

    fn is_at(&self, moment: Moment, mock: &MockRegistry) -> bool {
        match moment {
            Moment::Event(number) => self.told.events.load(Ordering::SeqCst) >= number,
            Moment::Request(number) => mock.requests().len() >= number,
            Moment::Step(dir) => {
                fs::read_dir(self.root().join(dir)).is_ok_and(|mut dir| dir.next().is_some())
            }
            Moment::Admission => self.held.has_come.load(Ordering::SeqCst),
        }
    }

    /// Begins a pull, and drops it at this moment; says whether it was over before.
    async fn pull_until(&self, reference: &str, moment: Moment, mock: &MockRegistry) -> bool {
        self.held.is_on.store(matches!(moment, Moment::Admission), Ordering::SeqCst);
        let mut pull = Box::pin(self.hoist.pull(reference));
        while !self.is_at(moment, mock) {
            if poll!(pull.as_mut()).is_ready() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }

    /// What has a name.
    fn names(&self) -> Vec<String> {
        let names = self.hoist.store().list(self.hoist.platform()).unwrap();
        names.iter().map(ToString::to_string).collect()
    }
}

/// One that several stacks may have.
struct Shared(Arc<Held>);

impl Admission for Shared {
    fn admit(&self, image: &Candidate<'_>) -> Result<()> {
        self.0.admit(image)
    }
}

async fn drop_one(mock: &MockRegistry, reference: &str, dice: &mut Dice) -> bool {
    let (machine, moment) = (Machine::new(dice), Moment::any(dice));
    let store = machine.hoist.store();
    mock.forget_requests();
    let was_over = machine.pull_until(reference, moment, mock).await;
    let named = machine.names();
    let shown = format!("{} dropped at {moment:?}", machine.hoist);
    if machine.held.has_come.load(Ordering::SeqCst) {
        machine.held.barrier.wait(); // only now
    }
    if dice.below(2) == 0 {
        let removed = machine.hoist.remove(reference).await.unwrap();
        assert_eq!(removed, !named.is_empty(), "{shown}");
        store.idle().await;
        assert_eq!(machine.names(), Vec::<String>::new(), "{shown}: a name after the drop");
    } else {
        if dice.below(2) == 0 {
            store.idle().await;
            assert_eq!(machine.names(), named, "{shown}: a name after the drop");
        }
        let image = machine.hoist.pull(reference).await.unwrap_or_else(|e| panic!("{shown}: {}", e.report()));
        assert_valid_layout(&image.path, &image.digest);
        store.idle().await;
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert_eq!(count(&machine.told.started), count(&machine.told.ended), "{shown}");
    assert_eq!(count(&machine.told.cancelled), usize::from(!was_over), "{shown}");
    check(&machine, &machine.root(), &shown);
    !was_over
}

/// The store is sound, and has nothing that nobody needs.
fn check(machine: &Machine, root: &Path, shown: &str) {
    let store = machine.hoist.store();
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, [], "{shown}");
    store.gc(GcOptions::default().with_all(true)).unwrap();
    for checked in [check_content(root), check_refs(root), check_nothing_left(root)] {
        checked.unwrap_or_else(|why| panic!("{shown}: {why}"));
    }
}

fn runtimes() -> [Runtime; 2] {
    let one = Builder::new_current_thread().enable_all().build().unwrap();
    [one, Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()]
}

#[test]
fn no_name_is_given_after_a_drop_and_nothing_is_left() {
    let drops = std::env::var("HOIST_DROPS").map_or(DROPS, |drops| drops.parse().expect("a number"));
    let (server, runtimes) = (Runtime::new().unwrap(), runtimes());
    let layers = [1, 2, 3].map(|seed| Layer::random(40_000, seed));
    let (mock, reference) = server.block_on(async {
        let mock = MockRegistry::start().await;
        let reference = mock.publish("team/app", "v1", Image::builder().layers(layers).build());
        (mock, reference)
    });
    let mut dropped = 0;
    // Some are over before their moment comes.
    for (trial, runtime) in (0..).zip(runtimes.iter().cycle()) {
        dropped += usize::from(runtime.block_on(drop_one(&mock, &reference, &mut Dice::new(trial))));
        if dropped >= drops {
            break;
        }
    }
}
