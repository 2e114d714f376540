//! What `fsck` finds, what it repairs, and that it finds nothing where nothing is wrong.

use std::fs;
use std::path::Path;

use hoist_core::ErrorKind;
use hoist_store::{Checked, FsckOptions, GcOptions, Problem, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{damage, fetch, image, layer_path, open, platform, pull, put, reference, tree};

fn check(store: &Store) -> Checked {
    store.fsck(&FsckOptions::default()).unwrap()
}

fn repair(store: &Store) -> Checked {
    let repaired = store.fsck(&FsckOptions::default().with_repair(true)).unwrap();
    assert!(repaired.findings.iter().all(|finding| finding.repaired), "{:?}", repaired.findings);
    assert_eq!(check(store).findings, [], "nothing is left to repair");
    repaired
}

fn problems(checked: Checked) -> Vec<Problem> {
    checked.findings.into_iter().map(|finding| finding.problem).collect()
}

fn only_file(dir: &Path, is_it: impl Fn(&str) -> bool) -> String {
    let mut found = tree(dir).into_iter().filter(|path| Path::new(path).is_file() && is_it(path));
    let only = found.next().unwrap();
    assert_eq!(found.next(), None);
    only
}

#[tokio::test]
async fn a_store_in_use_has_nothing_wrong_with_it() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(check(&store), Checked::default(), "an empty one");
    let (one, two) = (image(b"one"), image(b"two"));
    pull(&store, &one, "demo:v1").await;
    pull(&store, &two, "demo:v1").await;
    let staging = store.stage(Verify::Cached).unwrap();
    let unfinished = image(b"three");
    let ingest = fetch(&staging, &unfinished.blobs[1].0).await;
    ingest.write(0, bytes::Bytes::from_static(b"th")).await.unwrap();
    let checked = check(&store);
    assert_eq!(checked.findings, []);
    assert_eq!((checked.images, checked.refs, checked.blobs), (2, 1, 5), "a moved tag and a shared config");
    assert_eq!(
        checked.bytes,
        (one.bytes.len() + two.bytes.len() + "{}".len() + "one".len() + "two".len()) as u64
    );
    drop((ingest, staging));
    assert_eq!(check(&store).findings, [], "what broke off is no damage");
}

#[tokio::test]
async fn a_damaged_blob_is_found_and_fetched_again_after_the_repair() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &demo, "demo").await;
    damage(&layer_path(&stored.path, &demo), b"lay3r");
    let blob = demo.blobs[1].0.digest.clone();
    let found = check(&store);
    assert_eq!(found.findings[1].references, [reference("demo")]);
    let digest = demo.manifest.digest.hex();
    assert_eq!(
        found.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            format!("blobs/sha256/{}: its content is not what its digest says; repair the store", blob.hex()),
            format!(
                "images/sha256/{digest}: the image's blob {blob} is damaged; repair the store, and pull again: {}",
                reference("demo")
            ),
        ]
    );
    assert_eq!(problems(found), [Problem::DamagedBlob, Problem::HasDamagedBlob { blob }]);
    assert!(store.peek(&reference("demo"), &platform()).unwrap().is_some(), "it was only looked");

    let repaired = store.fsck(&FsckOptions::default().with_repair(true)).unwrap();
    assert!(repaired.findings[0].to_string().ends_with("; it is in quarantine now"), "{repaired:?}");
    assert_eq!(store.peek(&reference("demo"), &platform()).unwrap(), None);
    assert_eq!(store.list(&platform()).unwrap(), []);
    assert_eq!(check(&store).findings, [], "nothing leads to it any more");
    let quarantined = only_file(&store.root().join("quarantine"), |_| true);
    assert_eq!(fs::read(&quarantined).unwrap(), b"lay3r");
    let healed = pull(&store, &demo, "demo").await;
    assert_eq!(fs::read(layer_path(&healed.path, &demo)).unwrap(), b"layer");
    assert_eq!(check(&store).findings, []);
    let collected = store.gc(GcOptions::default()).unwrap();
    assert_eq!(collected.quarantined, 0, "somebody may want to look at it");
    assert_eq!(store.gc(GcOptions::default().with_all(true)).unwrap().quarantined, 1);
    assert!(!Path::new(&quarantined).exists());
}

#[tokio::test]
async fn a_copy_that_an_image_has_of_its_own_is_looked_at_itself() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let layer = layer_path(&pull(&store, &demo, "demo").await.path, &demo);
    for (content, blob) in [(b"layer", None), (b"lay3r", Some(demo.blobs[1].0.digest.clone()))] {
        fs::remove_file(&layer).unwrap();
        fs::write(&layer, content).unwrap();
        let damaged = blob.map(|blob| Problem::HasDamagedBlob { blob });
        assert_eq!(problems(check(&store)), Vec::from_iter(damaged));
    }
}

#[tokio::test]
async fn only_the_images_that_have_the_damaged_blob_lose_their_names() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (bad, good) = (image(b"bad"), image(b"good"));
    let stored = pull(&store, &bad, "bad").await;
    pull(&store, &bad, "bad:again").await;
    let kept = pull(&store, &good, "good").await;
    damage(&layer_path(&stored.path, &bad), b"longer than it was");
    repair(&store);
    assert_eq!(store.list(&platform()).unwrap(), [reference("good")]);
    assert!(!stored.path.exists());
    assert_eq!(store.peek(&reference("good"), &platform()).unwrap(), Some(kept));
}

#[tokio::test]
async fn a_leased_image_that_is_damaged_keeps_what_is_sound_of_it_and_is_replaced_by_the_next_pull() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &demo, "demo").await;
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    damage(&layer_path(&stored.path, &demo), b"lay3r");
    store.fsck(&FsckOptions::default().with_repair(true)).unwrap();
    let config = demo.blobs[0].0.digest.hex();
    assert_eq!(fs::read(stored.path.join("blobs/sha256").join(config)).unwrap(), b"{}");
    assert_eq!(store.peek(&reference("demo"), &platform()).unwrap(), None);
    pull(&store, &demo, "demo").await;
    assert_eq!(fs::read(layer_path(&stored.path, &demo)).unwrap(), b"layer");
    assert_eq!(check(&store).findings, []);
    drop(lease);
}

#[tokio::test]
async fn a_missing_blob_a_broken_layout_and_a_damaged_manifest_are_found_and_healed() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let path = pull(&store, &demo, "demo").await.path;
    let manifest = path.join("blobs/sha256").join(demo.manifest.digest.hex());
    let damages: [&dyn Fn(); 4] = [
        &|| fs::remove_file(layer_path(&path, &demo)).unwrap(),
        &|| damage(&path.join("index.json"), b"{}"),
        &|| fs::remove_file(path.join("oci-layout")).unwrap(),
        &|| damage(&manifest, b"{}"),
    ];
    for damage in damages {
        damage();
        assert!(!check(&store).findings.is_empty());
        repair(&store);
        assert_eq!(store.peek(&reference("demo"), &platform()).unwrap(), None);
        pull(&store, &demo, "demo").await;
        assert_eq!(check(&store).findings, []);
    }
}

#[tokio::test]
async fn names_that_lead_nowhere_cannot_be_read_or_are_not_known_to_their_image_are_found() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &demo, "demo").await;
    let marker = only_file(&store.root().join("names"), |_| true);
    fs::remove_file(marker).unwrap();
    assert_eq!(check(&store).findings[0].references, [], "it can still be had");
    assert_eq!(problems(repair(&store)), [Problem::UnmarkedRef { digest: stored.digest.clone() }]);
    store.gc(GcOptions::default().with_all(true)).unwrap();
    assert!(store.peek(&reference("demo"), &platform()).unwrap().is_some(), "it has its name again");

    fs::remove_dir_all(&stored.path).unwrap();
    assert_eq!(check(&store).findings[0].references, [reference("demo")]);
    assert_eq!(problems(repair(&store)), [Problem::DanglingRef { image: stored.digest.clone() }]);

    pull(&store, &demo, "demo").await;
    damage(Path::new(&only_file(&store.root().join("refs"), |_| true)), b"not a ref");
    let error = store.peek(&reference("demo"), &platform()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage);
    assert_eq!(problems(repair(&store)), [Problem::DamagedRef]);
    pull(&store, &demo, "demo").await;
    assert_eq!(check(&store).findings, []);
}

#[tokio::test]
async fn what_the_store_did_not_put_there_is_moved_away() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    pull(&store, &image(b"layer"), "demo").await;
    let places = ["blobs/sha256", "images/sha256", "staging", "ingest", "names/sha256"];
    for place in places {
        for name in ["letter", "note"] {
            fs::write(store.root().join(place).join(name), "dear").unwrap();
        }
    }
    fs::create_dir(store.root().join("blobs/sha256").join("0".repeat(64))).unwrap();
    let strays = 2 * places.len() + 1;
    assert_eq!(problems(repair(&store)), vec![Problem::Stray; strays]);
    assert_eq!(fs::read_dir(store.root().join("quarantine")).unwrap().count(), strays);
}

#[tokio::test]
async fn a_blob_of_the_wrong_size_met_in_a_pull_is_quarantined_and_fetched_again() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &demo, "demo").await;
    damage(&layer_path(&stored.path, &demo), b"short");
    fs::File::options().write(true).open(layer_path(&stored.path, &demo)).unwrap().set_len(2).unwrap();
    assert_eq!(store.get_and_touch(&reference("demo"), &platform()).await.unwrap(), None, "it is not whole");
    assert!(store.lease(&stored.digest).unwrap().is_none());
    let healed = pull(&store, &demo, "demo").await;
    assert_eq!(fs::read(layer_path(&healed.path, &demo)).unwrap(), b"layer");
    assert_eq!(fs::read(only_file(&store.root().join("quarantine"), |_| true)).unwrap(), b"sh");
    assert_eq!(check(&store).findings, []);
}

#[tokio::test]
async fn a_manifest_that_lies_about_a_size_does_no_harm_to_the_sound_blob() {
    let dir = TempDir::new().unwrap();
    let (store, demo) = (open(&dir), image(b"layer"));
    pull(&store, &demo, "demo").await;
    for verify in [Verify::Cached, Verify::Rehash] {
        let staging = store.stage(verify).unwrap();
        let mut lie = demo.blobs[1].0.clone();
        lie.size += 1;
        assert_eq!(*staging.claim(&lie).await.unwrap_err().kind(), ErrorKind::SizeMismatch);
    }
    assert_eq!(check(&store).findings, []);
    let _lease = put(&store, &demo, Verify::Cached).await;
    assert!(!store.root().join("quarantine").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_nothing_and_harms_nothing_while_others_pull_remove_and_collect() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("store");
    let open = || Store::open(&root, StoreOptions::default()).unwrap();
    let workers = [0u8, 1, 2].map(|worker| {
        let store = open();
        tokio::spawn(async move {
            for round in 0..30 {
                let (demo, name) = (image(&[round % 4]), format!("demo:v{}", (round + worker) % 3));
                let stored = pull(&store, &demo, &name).await;
                let lease = store.lease(&stored.digest).unwrap();
                match (round + worker) % 5 {
                    0 => _ = store.remove(&reference(&name), &platform()).unwrap(),
                    1 => _ = store.gc(GcOptions::default().with_max_size(0)).unwrap(),
                    _ => {}
                }
                if lease.is_some() {
                    assert_eq!(fs::read(layer_path(&stored.path, &demo)).unwrap(), [round % 4]);
                }
            }
        })
    });
    let store = open();
    let checks = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            assert_eq!(store.fsck(&FsckOptions::default().with_repair(true)).unwrap().findings, []);
        }
    });
    for worker in workers {
        worker.await.unwrap();
    }
    checks.await.unwrap();
    assert_eq!(check(&open()).findings, []);
}
