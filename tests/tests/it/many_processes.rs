//! Many processes on one store: they share each download, and nobody loses what another has.
//!
//! The random part takes so many steps in all as `HOIST_STEPS` says (`just churn` takes 10,000), by the seed in
//! `HOIST_SEED`, which it prints.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{Dice, check_content, check_nothing_left, check_refs, hoist, hoist_binary};
use tempfile::TempDir;

/// How many processes pull the same images at once.
const PULLERS: usize = 16;
/// How many images they pull.
const IMAGES: usize = 5;
/// How many processes do all sorts of things at random.
const CHURNERS: usize = 8;
/// How many things they do together, unless told otherwise.
const STEPS: usize = 400;

/// An image that shares a layer with each of its neighbours, and one with all of them.
fn overlapping(number: u64) -> Image {
    let layers =
        [Layer::random(300_000, 0), Layer::random(200_000, number), Layer::random(200_000, number + 1)];
    Image::builder()
        .platform(&host_platform())
        .layers(layers)
        .layer(Layer::random(5000, number + 100))
        .build()
}

fn host_platform() -> String {
    hoist::Platform::host().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_processes_that_pull_the_same_images_transfer_each_blob_once() {
    let mock = MockRegistry::start().await;
    let images: Vec<Image> = (1..).map(overlapping).take(IMAGES).collect();
    let publish =
        |(n, image): (usize, &Image)| mock.publish(&format!("library/demo{n}"), "v1", image.clone());
    let references: Vec<String> = images.iter().enumerate().map(publish).collect();
    let dir = TempDir::new().unwrap();
    // No blob comes before all of them have the manifest of an image, and want its blobs.
    let gate = mock.hold_blobs(1);
    let pullers: Vec<Child> = (0..PULLERS).map(|n| start_pulls(dir.path(), &references, n)).collect();
    while mock.counts().manifest_gets < PULLERS {
        tokio::task::yield_now().await;
    }
    gate.release();
    for puller in pullers {
        let output = tokio::task::spawn_blocking(|| puller.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let paths = String::from_utf8(output.stdout).unwrap();
        assert_eq!(paths.lines().count(), IMAGES);
    }
    for image in &images {
        for blob in image.blobs() {
            assert_eq!(mock.bytes_served(&blob.digest), blob.bytes.len() as u64, "{}", blob.digest);
        }
        let path = dir.path().join("images/sha256").join(image.digest().hex());
        assert_valid_layout(path, &image.digest().to_string());
    }
}

/// A process that pulls all of these, beginning with another one each. It has one connection, and patience with it: no
/// other takes over what a blob that is held does not bring.
fn start_pulls(root: &Path, references: &[String], first: usize) -> Child {
    let mut references = references.to_vec();
    references.rotate_left(first % IMAGES);
    let mut command = Command::new(hoist_binary());
    command.env_clear().env("HOIST_ROOT", root);
    command.env("HOIST_REMOTE_CONNECTIONS", "1").env("HOIST_REMOTE_STALL_TIMEOUT", "60");
    command.args(["pull", "--quiet", "--platform", &host_platform()]);
    command.args(references).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_eight_processes_do_to_a_store_no_name_dangles_and_no_lease_is_broken() {
    let steps =
        env::var("HOIST_STEPS").map_or(STEPS, |steps| steps.parse().expect("HOIST_STEPS is a number"));
    println!("{steps} steps; HOIST_SEED={}", env::var("HOIST_SEED").unwrap_or_else(|_| "0".to_owned()));
    let mock = MockRegistry::start().await;
    let references = Retagger::publish_all(&mock);
    let retagger = Retagger { mock, moves: AtomicU64::new(0) };
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    std::thread::scope(|scope| {
        for number in 0..CHURNERS {
            let (references, retagger) = (&references, &retagger);
            scope.spawn(move || churn(root, number, steps / CHURNERS, references, retagger));
        }
    });
    assert_eq!(check_content(root), Ok(()));
    assert_eq!(check_refs(root), Ok(()), "a ref leads to a whole image, and its image knows it");
    hoist(root, &["gc", "--all"]).ok();
    assert_eq!(check_refs(root), Ok(()), "nothing that has a name is collected");
    assert_eq!(check_nothing_left(root), Ok(()));
    let listed = hoist(root, &["list"]);
    for reference in listed.ok().lines() {
        hoist(root, &["remove", reference]).ok();
    }
    hoist(root, &["gc", "--all"]).ok();
    assert_eq!(check_nothing_left(root), Ok(()), "without a name there is nothing");
}

/// The registry of the random part, whose tags move to other images on demand.
struct Retagger {
    mock: MockRegistry,
    moves: AtomicU64,
}

impl Retagger {
    /// How many tags there are.
    const TAGS: usize = 4;
    /// How many images they lead to.
    const IMAGES: usize = 6;

    fn publish_all(mock: &MockRegistry) -> Vec<String> {
        (0..Self::TAGS)
            .map(|tag| mock.publish("library/demo", &format!("v{tag}"), Self::image(tag)))
            .collect()
    }

    fn image(number: usize) -> Image {
        let layer = |seed| Layer::random(20_000, seed);
        let number = (number % Self::IMAGES) as u64;
        Image::builder().platform(&host_platform()).layers([layer(number), layer(number + 1)]).build()
    }

    fn move_tag(&self, reference: &str) {
        let tag = reference.rsplit(':').next().expect("a tag");
        let image = Dice::new(self.moves.fetch_add(1, Ordering::Relaxed)).below(Self::IMAGES);
        self.mock.publish("library/demo", tag, Self::image(image));
    }
}

/// Runs one of the processes to its end, and moves the tags that it wants moved.
fn churn(root: &Path, number: usize, steps: usize, references: &[String], retagger: &Retagger) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_churn"));
    command.arg(root).args([number.to_string(), steps.to_string()]).args(references).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let wishes = BufReader::new(child.stdout.take().expect("it is piped"));
    wishes.lines().map_while(Result::ok).for_each(|reference| retagger.move_tag(&reference));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
