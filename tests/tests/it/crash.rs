//! The command, killed with `kill -9` in the middle of a pull: nothing half-done is ever taken for an image,
//! and the next pull goes on.
//!
//! `HOIST_KILLS` says how many are killed (`just kills`), and `HOIST_SEED` makes other points of them.

use std::env;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hoist_core::Digest;
use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{Dice, Output, check_content, check_nothing_left, hoist, hoist_binary};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";
const LAYER: usize = 4 << 20;
/// How often a pull of the same image is killed before one may end.
const KILLS: usize = 8;
/// No response is longer when it is killed, so that after all kills there is more than that left of each layer.
const LONGEST: usize = LAYER / (KILLS + 1);
/// How many pulls are killed in all, unless told otherwise.
const ALL_KILLS: usize = 100;
/// How many bytes that had come a kill may cost.
const MAY_COST: u64 = 8 << 20;

const NOTHING: [PathBuf; 0] = [];

/// A registry with an image of three layers, and a store.
struct Setup {
    mock: MockRegistry,
    image: Image,
    reference: String,
    dir: TempDir,
}

impl Setup {
    async fn new(layer: usize) -> Self {
        let mock = MockRegistry::start().await;
        let layers = (0..3).map(|seed| Layer::random(layer, seed));
        let image = Image::builder().platform("linux/amd64").layers(layers).build();
        let reference = mock.publish("library/demo", "v1", image.clone());
        Self { mock, image, reference, dir: TempDir::new().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    async fn hoist(&self, command: &'static str) -> Output {
        let (root, reference) = (self.root(), self.reference.clone());
        let run = move || hoist(&root, &[command, "--quiet", PLATFORM, &reference]);
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// A pull that is not waited for.
    fn start_pull(&self) -> Child {
        let mut command = Command::new(hoist_binary());
        command.arg("--root").arg(self.root()).args(["pull", "--quiet", PLATFORM, &self.reference]);
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    /// What processes left on their way.
    fn left(&self) -> Vec<PathBuf> {
        let entries = |dir: &str| std::fs::read_dir(self.root().join(dir)).into_iter().flatten();
        entries("staging").chain(entries("ingest")).map(|entry| entry.unwrap().path()).collect()
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ranges of bytes, of blobs.
type Parts = Vec<(Digest, Range<u64>)>;

/// What of each blob came, at most, before a pull was killed: of each answer up to what was held back.
fn came(mock: &MockRegistry, held_after: u64) -> Parts {
    let cut = |(digest, part): (_, Range<u64>)| (digest, part.start..part.end.min(part.start + held_after));
    asked(mock).into_iter().map(cut).collect()
}

/// What of each blob was asked for.
fn asked(mock: &MockRegistry) -> Parts {
    let requests =
        mock.requests().into_iter().filter(|seen| seen.method == "GET" && seen.path.contains("/blobs/"));
    let first = |range: &str| range.strip_prefix("bytes=")?.split_once('-')?.0.parse().ok();
    let start = |range: Option<String>| range.map_or(0, |range| first(&range).expect("a range of bytes"));
    let part = |start: u64, bytes: u64| start..start + bytes;
    requests.filter_map(|seen| Some((seen.digest?, part(start(seen.range), seen.bytes)))).collect()
}

/// How many bytes that had come before are asked for again.
fn cost(mock: &MockRegistry, came: &Parts) -> u64 {
    asked(mock).iter().map(|asked| shared(asked, came)).sum()
}

/// How many bytes of a part are in any of the others.
fn shared((digest, part): &(Digest, Range<u64>), others: &Parts) -> u64 {
    let others = others.iter().filter(|(of, _)| of == digest).map(|(_, other)| other.clone());
    let mut others: Vec<_> = others.collect();
    others.sort_by_key(|other| other.start);
    let (mut seen, mut sum) = (part.start, 0);
    for other in others {
        let (start, end) = (other.start.max(seen), other.end.min(part.end));
        sum += end.saturating_sub(start);
        seen = seen.max(end);
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_leaves_no_image_and_the_next_one_goes_on() {
    let all =
        env::var("HOIST_KILLS").map_or(ALL_KILLS, |kills| kills.parse().expect("HOIST_KILLS is a number"));
    let setup = Setup::new(LAYER).await;
    let (mut dice, mut most) = (Dice::new(0), 0);
    for round in 0..all.div_ceil(KILLS) {
        let mut before = Parts::new();
        for kill_number in 0..KILLS {
            let after = dice.below(LONGEST) as u64;
            let gate = setup.mock.hold_blobs(after);
            setup.mock.forget_requests();
            let child = setup.start_pull();
            gate.until_held(1 + dice.below(3)).await;
            kill(child);
            most = most.max(cost(&setup.mock, &before));
            before.extend(came(&setup.mock, after));
            gate.release();
            assert_eq!(setup.hoist("is-cached").await.code, 1, "round {round}, kill {kill_number}");
            assert_eq!(check_content(&setup.root()), Ok(()), "round {round}, kill {kill_number}");
        }
        setup.mock.forget_requests();
        let pulled = setup.hoist("pull").await;
        most = most.max(cost(&setup.mock, &before));
        assert_valid_layout(pulled.ok(), &setup.image.digest().to_string());
        assert_eq!(setup.left(), NOTHING, "what the dead had left is gone");
        setup.hoist("remove").await.ok();
        hoist(&setup.root(), &["gc", "--all"]).ok();
        assert_eq!(check_nothing_left(&setup.root()), Ok(()));
    }
    println!("a kill cost {most} bytes at most");
    assert!(most <= MAY_COST, "a kill cost {most} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_a_blob_takes_over_from_one_that_is_killed() {
    let setup = Setup::new(LAYER).await;
    let gate = setup.mock.hold_blobs(LONGEST as u64);
    let first = setup.start_pull();
    gate.until_held(3).await;
    let second = setup.hoist("pull");
    let (second, ()) = tokio::join!(second, async {
        // The second has its manifest, and comes to the blobs that the first is fetching.
        while setup.mock.counts().manifest_gets < 2 {
            tokio::task::yield_now().await;
        }
        kill(first);
        gate.release();
    });
    assert_valid_layout(second.ok(), &setup.image.digest().to_string());
}
