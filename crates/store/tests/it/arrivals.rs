//! How content came is noted, by the repository that it came from.

use std::fs;

use hoist_core::{Descriptor, Digest, media_type};
use hoist_store::{Arrival, Arrivals, Entries, GcOptions, Lease, Store, Verify};
use tempfile::TempDir;

use crate::support::{Image, image, open, platform, put, reference};

async fn bring(store: &Store, image: &Image, name: &str, by: Arrival) {
    let lease = put(store, image, Verify::Cached).await.arrived_by(by);
    store.name(&reference(name), &platform(), &lease, None).unwrap();
}

fn of(store: &Store, digest: &Digest) -> Vec<(String, Vec<Arrival>)> {
    let mut arrivals = Arrivals::default();
    arrivals.refresh(store).unwrap();
    let mut found: Vec<_> =
        arrivals.of(digest).map(|(name, arrivals)| (name.to_owned(), arrivals.to_vec())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[tokio::test]
async fn each_blob_and_the_manifest_have_a_note() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"one"));
    bring(&store, &image, "ghcr.io/acme/app:v1", Arrival::Anonymous).await;
    let blobs = image.blobs.iter().map(|(blob, _)| blob);
    for blob in blobs.chain([&image.manifest]) {
        assert_eq!(of(&store, &blob.digest), [("ghcr.io/acme/app".to_owned(), vec![Arrival::Anonymous])]);
    }
}

#[tokio::test]
async fn content_that_nobody_spoke_for_has_none() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"one"));
    crate::support::pull(&store, &image, "demo").await;
    assert!(of(&store, &image.manifest.digest).is_empty());
}

#[tokio::test]
async fn a_hit_in_the_pool_is_no_arrival() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    // The two share their configuration.
    let (private, public) = (image(b"private"), image(b"public"));
    bring(&store, &private, "ghcr.io/acme/private:v1", Arrival::Authenticated).await;
    bring(&store, &public, "docker.io/library/public:v1", Arrival::Anonymous).await;
    let shared = &private.blobs[0].0.digest;
    assert_eq!(of(&store, shared), [("ghcr.io/acme/private".to_owned(), vec![Arrival::Authenticated])]);
    let own = &public.blobs[1].0.digest;
    assert_eq!(of(&store, own), [("docker.io/library/public".to_owned(), vec![Arrival::Anonymous])]);
}

#[tokio::test]
async fn a_line_that_a_crash_cut_off_says_nothing() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"one"));
    bring(&store, &image, "demo:v1", Arrival::Loaded).await;
    let notes = store.root().join("arrivals/docker.io/library/demo/_content");
    let text = fs::read_to_string(&notes).unwrap();
    fs::write(&notes, &text[..text.len() - 10]).unwrap();
    let content = [&image.blobs[0].0, &image.blobs[1].0, &image.manifest];
    let left = content.iter().filter(|blob| !of(&store, &blob.digest).is_empty()).count();
    assert_eq!(left, 2);
}

#[tokio::test]
async fn a_collection_forgets_the_notes_of_what_is_gone() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"one"));
    let notes = store.root().join("arrivals/docker.io/library/demo/_content");
    bring(&store, &image, "demo:v1", Arrival::Anonymous).await;
    let once = fs::read_to_string(&notes).unwrap();
    fs::write(&notes, format!("{once}{once}")).unwrap();
    store.gc(GcOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(&notes).unwrap(), once);
    assert!(store.remove(&reference("demo:v1"), &platform()).unwrap());
    store.gc(GcOptions::default().with_dry_run(true)).unwrap();
    assert!(notes.exists());
    store.gc(GcOptions::default()).unwrap();
    assert!(!store.root().join("arrivals/docker.io").exists());
    assert!(store.fsck(&hoist_store::FsckOptions::default()).unwrap().findings.is_empty());
}

/// An index in an index, with the image in the inner one.
fn nested(image: &Image) -> ((Digest, Vec<u8>), (Digest, Vec<u8>)) {
    let index = |entry: &Descriptor| {
        let json =
            serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]});
        let bytes = serde_json::to_vec(&json).unwrap();
        (Descriptor::of(media_type::OCI_INDEX, &bytes), bytes)
    };
    let (inner, inner_bytes) = index(&image.manifest);
    let (outer, outer_bytes) = index(&inner);
    ((outer.digest, outer_bytes), (inner.digest, inner_bytes))
}

fn name_nested(store: &Store, lease: Lease, image: &Image) -> (Digest, Digest) {
    let (outer, inner) = nested(image);
    let lease = lease.arrived_by(Arrival::Anonymous).with_inner_indexes(vec![inner.clone()]);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&outer.0, &outer.1))).unwrap();
    (outer.0, inner.0)
}

#[tokio::test]
async fn every_index_on_the_way_is_kept_as_it_was() {
    let dir = TempDir::new().unwrap();
    let (store, one, two) = (open(&dir), image(b"one"), image(b"two"));
    let (outer, inner) = name_nested(&store, put(&store, &one, Verify::Cached).await, &one);
    let entry = store.entries_of(&reference("demo:v1")).unwrap().remove(0);
    assert_eq!((&entry.image, &entry.resolved), (&one.manifest.digest, &outer));
    assert_eq!(entry.indexes, [outer.clone(), inner.clone()]);
    for index in [&outer, &inner] {
        let bytes = store.index_bytes(&entry, index).unwrap().unwrap();
        assert_eq!(Digest::sha256(&bytes), *index);
        assert_eq!(of(&store, index).len(), 1, "it is noted");
    }
    let (later, inner_later) = name_nested(&store, put(&store, &two, Verify::Cached).await, &two);
    assert!(!store.still_leads(&entry).unwrap());
    let now = store.entries_of(&reference("demo:v1")).unwrap().remove(0);
    assert_eq!(now.indexes, [later, inner_later]);
    assert!(store.index_bytes(&now, &inner).unwrap().is_none(), "the former one has gone");
    assert!(store.fsck(&hoist_store::FsckOptions::default()).unwrap().findings.is_empty());
    assert!(store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(!store.root().join("refs/docker.io").exists());
}

#[tokio::test]
async fn entries_are_those_that_are_named_now() {
    let dir = TempDir::new().unwrap();
    let (store, image, mut entries) = (open(&dir), image(b"one"), Entries::default());
    entries.refresh(&store).unwrap();
    assert_eq!(entries.iter().count(), 0);
    for name in ["demo:v1", "demo:v2", "ghcr.io/org/app:v1"] {
        bring(&store, &image, name, Arrival::Anonymous).await;
    }
    entries.refresh(&store).unwrap();
    assert_eq!(entries.iter().count(), 3);
    assert_eq!(store.tags_of(&reference("demo")).unwrap(), ["v1", "v2"]);
    store.remove(&reference("demo:v2"), &platform()).unwrap();
    entries.refresh(&store).unwrap();
    assert_eq!(entries.iter().count(), 2);
    let (_, size) = store.open_content(&image.manifest.digest, &image.manifest.digest).unwrap().unwrap();
    assert_eq!(size, image.bytes.len() as u64);
}
