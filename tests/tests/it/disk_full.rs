//! A disk that fills up in the middle of a pull, at each place where it can: the pull says so, what was there stays
//! readable, and the next pull works once there is space.
//!
//! The disk is a small tmpfs, which counts each name in a directory as well as each page of data. To mount it, the
//! test must run as root.

use std::path::Path;

use hoist_testkit::{Image, Layer, MockRegistry, assert_valid_layout};
use hoist_tests::{check_content, check_nothing_left, hoist, run};
use rustix::fs::{StatVfs, statvfs};
use tempfile::TempDir;

const PLATFORM: &str = "--platform=linux/amd64";
/// The exit code of an error that says that the disk is full.
const NO_SPACE: i32 = 11;
/// Names and pages that are enough for all images.
const PLENTY: &str = "size=64m,nr_inodes=1000";
const PAGE: u64 = 4096;

/// A tmpfs of its own, unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let dir = TempDir::new().unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", PLENTY, "hoist-tests", path(dir.path())]);
        assert_eq!(mounted.code, 0, "run this test as root, who may mount a tmpfs: {}", mounted.stderr);
        Self(dir)
    }

    fn resize(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), path(self.0.path())]).ok();
    }

    fn usage(&self) -> StatVfs {
        statvfs(self.0.path()).unwrap()
    }

    /// Leaves so many names to be made.
    fn leave_names(&self, free: u64) {
        let usage = self.usage();
        self.resize(&format!("nr_inodes={}", usage.f_files - usage.f_ffree + free));
    }

    /// Leaves so many pages to be written.
    fn leave_pages(&self, free: u64) {
        let usage = self.usage();
        let used = (usage.f_blocks - usage.f_bfree) * usage.f_bsize;
        self.resize(&format!("size={}", used + free * PAGE));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy", path(self.0.path())]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}

/// A disk with a store, that has one image, and a registry with another.
struct Setup {
    disk: Disk,
    old: (Image, String),
    new: (Image, String),
    _mock: MockRegistry,
}

impl Setup {
    async fn new(layer: usize) -> Self {
        let mock = MockRegistry::start().await;
        let image = |seed| {
            let layers = [Layer::random(layer, seed), Layer::random(9000, seed + 1)];
            Image::builder().platform("linux/amd64").layers(layers).build()
        };
        let [old, new] = [("old", image(0)), ("new", image(10))].map(|(tag, image)| {
            let reference = mock.publish("library/demo", tag, image.clone());
            (image, reference)
        });
        let setup = Self { disk: Disk::mount(), old, new, _mock: mock };
        hoist(setup.root(), &["pull", PLATFORM, &setup.old.1]).ok();
        setup
    }

    fn root(&self) -> &Path {
        self.disk.0.path()
    }

    /// Pulls the new image on a disk with little space; whether it was enough. Then makes space, and pulls again.
    fn pull(&self, little: &str, leave: impl Fn(&Disk)) -> bool {
        let (old, new) = (&self.old, &self.new);
        leave(&self.disk);
        let pulled = hoist(self.root(), &["pull", "--quiet", PLATFORM, &new.1]);
        let enough = pulled.code == 0;
        assert!(enough || pulled.code == NO_SPACE, "{little}: {pulled:?}");
        assert_eq!(enough, pulled.stderr.is_empty(), "{little}: {pulled:?}");
        assert_eq!(hoist(self.root(), &["is-cached", PLATFORM, &new.1]).code, i32::from(!enough), "{little}");
        assert_eq!(hoist(self.root(), &["is-cached", PLATFORM, &old.1]).code, 0, "{little}");
        hoist(self.root(), &["inspect", PLATFORM, &old.1]).ok();
        assert_eq!(check_content(self.root()), Ok(()), "{little}");
        self.disk.resize(PLENTY);
        let pulled = hoist(self.root(), &["pull", "--quiet", PLATFORM, &new.1]);
        assert_valid_layout(pulled.ok(), &new.0.digest().to_string());
        hoist(self.root(), &["remove", PLATFORM, &new.1]).ok();
        hoist(self.root(), &["gc", "--all"]).ok();
        assert_eq!(check_nothing_left(self.root()), Ok(()), "{little}");
        enough
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_space_for_one_more_name_anywhere_in_a_pull() {
    let setup = Setup::new(40_000).await;
    let needed = (0..1000).find(|&free| setup.pull(&format!("{free} names"), |disk| disk.leave_names(free)));
    println!("a pull needs {needed:?} names");
    assert!(needed >= Some(12), "an image of three blobs and its ref are more names than {needed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_space_for_one_more_page_anywhere_in_a_pull() {
    let setup = Setup::new(40_000).await;
    let needed = (0..1000).find(|&free| setup.pull(&format!("{free} pages"), |disk| disk.leave_pages(free)));
    println!("a pull needs {needed:?} pages");
    assert!(needed >= Some(12), "two layers are more pages than {needed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_in_the_middle_of_a_large_layer() {
    let setup = Setup::new(20 << 20).await;
    for megabytes in [1, 7, 19] {
        let enough =
            setup.pull(&format!("{megabytes} MiB"), |disk| disk.leave_pages((megabytes << 20) / PAGE));
        assert!(!enough, "20 MiB do not fit into {megabytes}");
    }
}
