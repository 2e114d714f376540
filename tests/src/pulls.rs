//! The two pulls that are watched call by call: into an empty store, and of a tag that has moved.

use std::path::{Path, PathBuf};

use hoist_core::{Digest, PulledImage};
use hoist_testkit::{Image, ImageIndex, Layer, MockRegistry, check_layout};
use tempfile::TempDir;

use crate::audit::{check_content, entries};
use crate::call::Call;
use crate::command::{Output, hoist};
use crate::strace::Strace;
use crate::tree::Tree;

/// Where the store is in a [`Site`]: not even the directories above it are there at first.
pub const STORE: &str = "var/lib/store";

const REPOSITORY: &str = "library/demo";
const PLATFORM: &str = "linux/amd64";
/// More than is written of a blob before that is noted, so that a power cut leaves something to resume.
const LARGE: usize = 2 << 20;

/// A pull of an image by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Nothing is there yet.
    First,
    /// The tag has moved since it was pulled, and the new image shares a layer with the old one.
    MovedTag,
}

/// A registry, the images of both pulls, and the sites as they are before them.
#[derive(Debug)]
pub struct PullSetup {
    /// What is pulled.
    pub reference: String,
    /// The digest of the image that the tag led to first.
    pub old: Digest,
    /// The digest of the image that the tag leads to.
    pub new: Digest,
    before_moved: Tree,
    _mock: MockRegistry,
}

impl PullSetup {
    /// Starts the registry, pulls the old image, and moves the tag to the new one.
    ///
    /// # Panics
    ///
    /// If the old image cannot be pulled.
    pub async fn new() -> Self {
        let mock = MockRegistry::start().await;
        let [old, new] = [image(0), image(1)];
        let digests = [&old, &new].map(|index| index.image(PLATFORM).digest().clone());
        let reference = mock.publish(REPOSITORY, "v1", old);
        let site = Site::of(&Tree::empty(Path::new("")), &reference);
        site.pull(Pull::First).ok();
        mock.publish(REPOSITORY, "v1", new);
        let [old, new] = digests;
        Self { reference, old, new, before_moved: Tree::read(site.path()), _mock: mock }
    }

    /// A site as it is before this pull.
    pub fn before(&self, pull: Pull) -> Site {
        match pull {
            Pull::First => self.site(&Tree::empty(Path::new(""))),
            Pull::MovedTag => self.site(&self.before_moved),
        }
    }

    /// A site with these files and directories.
    pub fn site(&self, tree: &Tree) -> Site {
        Site::of(tree, &self.reference)
    }
}

fn image(seed: u64) -> ImageIndex {
    let layers = [Layer::random(LARGE, seed), Layer::random(100_000, 10), Layer::random(3000, seed + 20)];
    let image = Image::builder().platform(PLATFORM).layers(layers).build();
    ImageIndex::new([Image::builder().platform("linux/arm64").build(), image])
}

/// A directory of its own with a store in it.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    reference: String,
}

impl Site {
    fn of(tree: &Tree, reference: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        tree.write(dir.path());
        Self { dir, reference: reference.to_owned() }
    }

    /// The directory of the site.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Pulls the image.
    pub fn pull(&self, pull: Pull) -> Output {
        hoist(&self.root(), &self.pull_arguments(pull))
    }

    /// Pulls the image, watched.
    pub fn pull_under(&self, pull: Pull, strace: &Strace) -> (Output, Vec<Call>) {
        strace.hoist(&self.root(), &self.pull_arguments(pull))
    }

    /// Runs a command while calls on this site are made to fail. `None`: another was, and it was killed.
    pub fn failing(&self, arguments: &[&str], strace: &Strace) -> (Option<Output>, Vec<Call>) {
        strace.hoist_while(&self.root(), arguments, |call| call.is_below(self.path()))
    }

    /// How the command is told to pull the image.
    pub fn pull_arguments(&self, pull: Pull) -> Vec<&str> {
        let force = (pull == Pull::MovedTag).then_some("--force");
        ["pull", "--quiet", "--platform", PLATFORM, &self.reference].into_iter().chain(force).collect()
    }

    /// How the command is asked what is here, in each way.
    pub fn questions(&self) -> [Vec<&str>; 2] {
        let platform = ["--platform", PLATFORM];
        [[&["is-cached", &self.reference], &platform[..]].concat(), [&["list"], &platform[..]].concat()]
    }

    /// The digest of the image that the tag leads to here, if it leads to one, or else what is wrong: an image
    /// or a blob that is not whole, or commands that fail or contradict each other.
    pub fn cached(&self) -> Result<Option<String>, String> {
        check_content(&self.root())?;
        let platform = format!("--platform={PLATFORM}");
        let is_cached = match hoist(&self.root(), &["is-cached", &platform, &self.reference]) {
            Output { code: 0, .. } => true,
            Output { code: 1, stderr, .. } if stderr.is_empty() => false,
            failed => return Err(format!("is-cached: {failed:?}")),
        };
        let list = hoist(&self.root(), &["list", "--json", &platform]);
        if list.code != 0 {
            return Err(format!("list: {list:?}"));
        }
        let listed: Vec<PulledImage> =
            list.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        match (&listed[..], is_cached) {
            ([], false) => Ok(None),
            ([image], true) => {
                check_layout(&image.path, &image.digest)?;
                Ok(Some(image.digest.clone()))
            }
            _ => Err(format!("is-cached says {is_cached}, and list says {}", list.stdout)),
        }
    }

    /// Pulls the image again, with nothing in its way, and once more without trust in what is there: what is
    /// wrong unless it is whole then, and nothing is left of earlier tries.
    pub fn heal(&self, pull: Pull, digest: &Digest) -> Result<(), String> {
        for pull in [pull, Pull::MovedTag] {
            let pulled = self.pull(pull);
            if pulled.code != 0 {
                return Err(format!("the next pull: {pulled:?}"));
            }
            check_layout(Path::new(pulled.ok()), &digest.to_string())?;
            if self.cached()? != Some(digest.to_string()) {
                return Err("what was just pulled is not cached".to_owned());
            }
        }
        let left: Vec<_> =
            ["staging", "ingest"].iter().flat_map(|dir| entries(&self.root().join(dir))).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("the next pull leaves {left:?}")) }
    }

    /// The directory of the store.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join(STORE)
    }
}
