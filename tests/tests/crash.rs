//! The command, killed with `kill -9` in the middle of a pull: nothing half-done is ever taken for an image,
//! and the next pull goes on.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{Output, hoist, hoist_binary};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";
const LAYER: usize = 4 << 20;
/// How often a pull of the same image is killed before one may end.
const KILLS: usize = 8;
/// No response is longer when it is killed, so that after all kills there is more than that left of each layer.
const LONGEST: usize = LAYER / (KILLS + 1);

const NOTHING: [PathBuf; 0] = [];

/// A registry with an image of three layers, and a store.
struct Setup {
    mock: MockRegistry,
    image: Image,
    reference: String,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let mock = MockRegistry::start().await;
        let layers = (0..3).map(|seed| Layer::random(LAYER, seed));
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

/// Where the next kill comes, as bytes of a response: a different one each time, the same in each run.
fn point(kill: usize) -> u64 {
    (kill.wrapping_mul(0x9e37_79b9) % LONGEST) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_leaves_no_image_and_the_next_one_goes_on() {
    let setup = Setup::new().await;
    for round in 0..3 {
        for kill_number in 0..KILLS {
            let gate = setup.mock.hold_blobs(point(round * KILLS + kill_number));
            let child = setup.start_pull();
            gate.until_held(1).await;
            kill(child);
            gate.release();
            assert_eq!(setup.hoist("is-cached").await.code, 1, "round {round}, kill {kill_number}");
        }
        let pulled = setup.hoist("pull").await;
        assert_valid_layout(pulled.ok(), &setup.image.digest().to_string());
        assert_eq!(setup.left(), NOTHING, "what the dead had left is gone");
        setup.hoist("remove").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_a_blob_takes_over_from_one_that_is_killed() {
    let setup = Setup::new().await;
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
