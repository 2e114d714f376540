//! Names: what a reference leads to, who has the last word on it, and what is left when it goes.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::Digest;
use hoist_store::{FsckOptions, Verify};
use tempfile::TempDir;

use crate::support::{
    image, is_waited_for, layer_path, open, platform, pull, put, reference, tree, wait_until,
};

#[tokio::test]
async fn an_image_is_found_by_tag_and_by_digest_in_its_own_repository_only() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    let digest = image.manifest.digest.clone();
    assert_eq!(store.peek(&reference("demo:v1"), &platform()).unwrap(), Some(stored.clone()));
    let by_digest = reference(&format!("demo@{digest}"));
    assert_eq!(store.get_and_touch(&by_digest, &platform()).await.unwrap().unwrap().digest, digest);
    assert_eq!(store.list(&platform()).unwrap(), [reference("demo:v1"), by_digest.clone()]);
    assert_eq!(store.peek(&reference(&format!("other@{digest}")), &platform()).unwrap(), None);
    assert_eq!(store.peek(&reference("demo:v1"), &"linux/arm64".parse().unwrap()).unwrap(), None);
    assert!(store.remove(&by_digest, &platform()).unwrap(), "by digest, all names in the repository go");
    assert_eq!(store.peek(&reference("demo:v1"), &platform()).unwrap(), None);
}

#[tokio::test]
async fn the_index_that_an_image_was_chosen_from_is_a_name_for_it_too() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let lease = put(&store, &image, Verify::Cached).await;
    let index = b"an index";
    let top = Digest::sha256(index);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&top, index))).unwrap();
    let by_index = reference(&format!("demo@{top}"));
    let hit = store.get_and_touch(&by_index, &platform()).await.unwrap().unwrap();
    assert_eq!((hit.digest, hit.resolved), (image.manifest.digest.clone(), top));
    let kept = tree(&store.root().join("refs")).into_iter().filter(|path| path.ends_with("~index.json"));
    assert!(kept.map(|path| fs::read(path).unwrap()).all(|bytes| bytes == index));
}

#[tokio::test]
async fn an_index_that_a_crash_left_beside_an_older_ref_is_not_taken_for_its_own() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let lease = put(&store, &image, Verify::Cached).await;
    let index = b"an index";
    let top = Digest::sha256(index);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&top, index))).unwrap();
    let indexes =
        || tree(&store.root().join("refs")).into_iter().filter(|path| path.ends_with("~index.json"));
    // The tag moved, and the power failed when the new index was there, and the new ref was not.
    let file = indexes().next().unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, b"a newer index").unwrap();
    assert!(store.get_and_touch(&reference(&format!("demo@{top}")), &platform()).await.unwrap().is_some());
    assert_eq!(indexes().count(), 1, "bytes that are not the index are not kept as if they were");
}

#[tokio::test]
async fn removing_one_of_two_names_keeps_the_image_and_the_last_one_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    pull(&store, &image, "demo:v2").await;
    assert!(store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(!store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(layer_path(&stored.path, &image).exists());
    assert!(store.remove(&reference("demo:v2"), &platform()).unwrap());
    let left = tree(store.root()).into_iter().filter(|path| path.contains(image.manifest.digest.hex()));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    assert!(!layer_path(store.root(), &image).exists());
}

#[tokio::test]
async fn a_moved_tag_leads_to_the_new_image_and_leaves_the_old_one_readable() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (a, b) = (image(b"a"), image(b"b"));
    let old = pull(&store, &a, "demo").await;
    let new = pull(&store, &b, "demo").await;
    assert_eq!(store.peek(&reference("demo"), &platform()).unwrap(), Some(new));
    assert!(layer_path(&old.path, &a).exists());
    let pinned = reference(&format!("demo@{}", old.digest));
    assert_eq!(store.peek(&pinned, &platform()).unwrap(), None, "no name leads to it any more");
}

#[tokio::test]
async fn of_two_that_overlap_the_one_who_asked_later_has_the_last_word() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (old, new, newest) = (image(b"old"), image(b"new"), image(b"newest"));
    let (demo, platform) = (reference("demo"), platform());
    let leases = [
        put(&store, &old, Verify::Cached).await,
        put(&store, &new, Verify::Cached).await,
        put(&store, &newest, Verify::Cached).await,
    ];
    let name = |lease: usize, seconds: u64| {
        let asked = UNIX_EPOCH + Duration::from_secs(seconds);
        store.name_as_of(&demo, &platform, &leases[lease], None, asked).unwrap()
    };
    let later = name(1, 2000);
    assert_eq!(name(0, 1000), later, "it was slow, and has what the other one found");
    assert_eq!(store.resolve(&demo, &platform).await.unwrap(), Some(later));
    assert_eq!(name(2, 3000).digest, newest.manifest.digest);

    fs::remove_file(layer_path(&store.image_path(&newest.manifest.digest), &newest)).unwrap();
    assert_eq!(name(0, 1000).digest, old.manifest.digest, "what is not whole is no answer");
    name(1, u64::from(u32::MAX) * 4);
    assert_eq!(name(0, 1000).digest, old.manifest.digest, "nobody can have asked in a time to come");
}

#[tokio::test]
async fn what_was_told_before_a_name_was_given_is_no_confirmation_and_a_confirmation_is_not_undone() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let (demo, platform) = (reference("demo"), platform());
    let leases = [put(&store, &old, Verify::Cached).await, put(&store, &new, Verify::Cached).await];
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let name = |lease: usize, seconds| {
        store.name_as_of(&demo, &platform, &leases[lease], None, at(seconds)).unwrap()
    };
    let confirm =
        |lease: usize, seconds| store.confirm(&demo, &platform, &leases[lease], at(seconds)).unwrap();
    assert_eq!(name(0, 1000).pulled, at(1000), "however long it took");
    let moved = name(1, 3000);
    assert_eq!(confirm(0, 2000), moved, "the one who asked later was told of another one");
    assert_eq!(confirm(1, 2000), moved, "and knew more");
    let confirmed = confirm(1, 5000);
    assert_eq!((&confirmed.digest, confirmed.pulled), (&moved.digest, at(5000)));
    assert_eq!(name(0, 4000), confirmed, "it was still there after that");
    assert_eq!(confirm(0, 6000).digest, old.manifest.digest, "until somebody was told of another one");
}

#[tokio::test]
async fn a_name_that_is_given_while_it_is_taken_away_is_known_to_its_index() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let leases = [put(&store, &old, Verify::Cached).await, put(&store, &new, Verify::Cached).await];
    let (demo, index) = (reference("demo:v1"), Digest::sha256(b"an index"));
    let name = |lease| store.name(&demo, &platform(), lease, Some((&index, b"an index"))).unwrap();
    name(&leases[0]);
    // Whoever takes the name away is held up when the ref has gone, and the old image is to be told.
    let names = store.root().join("names/sha256").join(old.manifest.digest.hex());
    let held = fs::File::open(&names).unwrap();
    held.lock().unwrap();
    let place = tree(&store.root().join("refs")).into_iter().find(|path| path.ends_with("/_tag/v1")).unwrap();
    std::thread::scope(|scope| {
        let removing = scope.spawn(|| store.remove(&demo, &platform()).unwrap());
        wait_until(|| removing.is_finished() || is_waited_for(&names));
        assert!(!removing.is_finished(), "it is held up");
        let naming = scope.spawn(|| name(&leases[1]));
        wait_until(|| naming.is_finished() || is_waited_for(place.as_ref()));
        drop(held);
    });
    assert_eq!(store.peek(&demo, &platform()).unwrap().unwrap().digest, new.manifest.digest);
    assert_eq!(store.names_of(&index, &platform()).unwrap(), [demo]);
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);
}

#[tokio::test]
async fn a_name_that_is_confirmed_counts_as_pulled_now_and_stays_what_it_was() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let leases = [put(&store, &old, Verify::Cached).await, put(&store, &new, Verify::Cached).await];
    let (demo, index) = (reference("demo:v1"), Digest::sha256(b"an index"));
    let before = SystemTime::now();
    let stored = store.name(&demo, &platform(), &leases[0], Some((&index, b"an index"))).unwrap();
    assert!(stored.pulled + Duration::from_secs(1) > before, "it is told to the second");
    // As if that had been long ago.
    let mut files = tree(&store.root().join("refs")).into_iter();
    let file = files.find(|path| path.ends_with("/_tag/v1/linux-amd64")).unwrap();
    let record = fs::read_to_string(&file).unwrap();
    let pulled = stored.pulled.duration_since(UNIX_EPOCH).unwrap().as_secs();
    fs::remove_file(&file).unwrap();
    fs::write(&file, record.replace(&format!(r#""pulled":{pulled}"#), r#""pulled":1"#)).unwrap();
    let known = || store.peek(&demo, &platform()).unwrap().unwrap();
    assert_eq!(known().pulled, UNIX_EPOCH + Duration::from_secs(1));

    let confirmed = store.confirm(&demo, &platform(), &leases[0], SystemTime::now()).unwrap();
    assert!(confirmed.pulled >= stored.pulled);
    assert_eq!((&confirmed.digest, &confirmed.resolved), (&old.manifest.digest, &index));
    assert_eq!(known(), confirmed);

    let renamed = store.confirm(&demo, &platform(), &leases[1], SystemTime::now()).unwrap();
    assert_eq!((&renamed.digest, &renamed.resolved), (&new.manifest.digest, &new.manifest.digest));
    assert_eq!(known(), renamed);
}

#[tokio::test]
async fn the_last_name_of_a_host_leaves_no_directory_behind() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    pull(&store, &image, "registry.example/team/demo:v1").await;
    pull(&store, &image, "registry.example/team/demo:v2").await;
    let refs = || tree(&store.root().join("refs"));
    assert!(store.remove(&reference("registry.example/team/demo:v1"), &platform()).unwrap());
    assert!(!refs().iter().any(|path| path.ends_with("/v1")), "{:?}", refs());
    assert!(store.remove(&reference("registry.example/team/demo:v2"), &platform()).unwrap());
    assert_eq!(refs(), <[String; 0]>::default());
}
