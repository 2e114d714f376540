//! A runtime that is killed holds no lease any more: the next one can have the disk back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Image, MockRegistry};

/// The example, booted from this store and running.
fn boot(store: &Path, reference: &str) -> Child {
    let mut vm = Command::new(example())
        .arg(store)
        .arg(reference)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example is built");
    let lines = BufReader::new(vm.stdout.as_mut().expect("its output is piped")).lines();
    let running = lines.map_while(Result::ok).any(|line| line == "running");
    assert!(running, "it ended before it ran");
    vm
}

fn example() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    profile.join("examples/vm_boot")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runtime_lets_go_of_its_image() {
    let registry = MockRegistry::start().await;
    let image = Image::sample(1);
    let reference = registry.publish("library/vm", "v1", &image);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let mut vm = tokio::task::block_in_place(|| boot(&root, &reference));

    let store = Store::open(&root, StoreOptions::default()).unwrap();
    let path = store.image_path(image.digest());
    assert!(store.remove(&reference.parse().unwrap(), &"linux/amd64".parse().unwrap()).unwrap());
    store.gc(hoist::GcOptions::default().with_all(true)).unwrap();
    assert!(path.join("index.json").exists(), "it is leased");

    vm.kill().unwrap(); // SIGKILL
    vm.wait().unwrap();
    store.gc(hoist::GcOptions::default().with_all(true)).unwrap();
    assert!(!path.exists(), "nobody leases it");
}
