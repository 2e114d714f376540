//! A store of many images costs no more to look into than one of a few: counted in system calls, which are the same
//! every time. `just scale` measures the seconds, with 100,000 images.

use std::collections::BTreeMap;
use std::path::Path;

use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Image, Layer, add_to_store};
use hoist_tests::{Strace, hoist};
use tempfile::TempDir;

const FEW: usize = 10;
const MANY: usize = 300;
const PLATFORM: &str = "linux/amd64";
/// What a store is looked into with.
const CALLS: &str = "openat,openat2,read,pread64,getdents64,newfstatat,statx";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_among_many_is_found_with_the_calls_that_it_takes_among_few() {
    let dir = TempDir::new().unwrap();
    let roots = [FEW, MANY].map(|images| (dir.path().join(images.to_string()), images));
    for (root, images) in &roots {
        fill(root, *images).await;
    }
    let looks: [&[&str]; 3] = [
        &["is-cached", "--platform", PLATFORM, "example.com/app:v7"],
        &["inspect", "--platform", PLATFORM, "example.com/app:v7"],
        &["pull", "-q", "--platform", PLATFORM, "example.com/app:v7"],
    ];
    for look in looks {
        let [few, many] = [&roots[0].0, &roots[1].0].map(|root| calls(root, look));
        assert!(few.values().sum::<usize>() > 10, "{look:?}: {few:?}");
        assert_eq!(few, many, "{look:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_images_is_listed_and_collected_only_when_it_lost_its_name() {
    let dir = TempDir::new().unwrap();
    fill(dir.path(), MANY).await;
    let listed = hoist(dir.path(), &["list", "--platform", PLATFORM]);
    let listed: Vec<_> = listed.ok().lines().collect();
    let mut expected: Vec<_> = (0..MANY).map(name).collect();
    expected.sort();
    assert_eq!(listed, expected);
    hoist(dir.path(), &["gc", "--all"]).ok();
    assert_eq!(hoist(dir.path(), &["list", "--platform", PLATFORM]).ok().lines().count(), MANY);
    assert_eq!(hoist(dir.path(), &["fsck"]).code, 0);
}

/// How often each call was made.
fn calls(root: &Path, arguments: &[&str]) -> BTreeMap<String, usize> {
    let (output, calls) = Strace::of(CALLS).hoist(root, arguments);
    output.ok();
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.name).or_default() += 1;
    }
    counts
}

/// Makes a store of images that have a layer of their own, and one in common.
async fn fill(root: &Path, images: usize) {
    let store = Store::open(root, StoreOptions::default()).unwrap();
    for number in 0..images {
        let own = Layer::files(&[("number", number.to_string().as_bytes())]);
        let image = Image::builder().platform(PLATFORM).layers([Layer::empty(), own]).build();
        add_to_store(&store, &name(number), &image).await.unwrap();
    }
}

fn name(number: usize) -> String {
    format!("example.com/app:v{number}")
}
