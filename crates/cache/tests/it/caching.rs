//! What the cache promises, in front of a registry that counts what it is asked.

use std::fs;
use std::sync::{Arc, Mutex};

use hoist_cache::Cached;
use hoist_core::{Digest, Error, ErrorKind, Event, Events, ImageRegistry, PulledImage, Reference, Result};
use tempfile::TempDir;

use crate::support::{Image, REFERENCE, cached, image, platform, store};

#[tokio::test]
async fn the_second_pull_is_answered_without_asking() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let (image, store) = (image(&dir, "layer"), store(&dir, "store"));
        let cached = cached(&dir, inner_store, image.clone());
        assert!(!cached.is_cached("demo:v1").await);
        let first = cached.pull("demo:v1").await.unwrap();
        let second = cached.pull(REFERENCE).await.unwrap();
        assert_eq!((first.path.clone(), &first.reference[..]), (second.path, REFERENCE));
        assert_eq!(first.path, store.image_path(&image.manifest.digest), "it is in the cache's own store");
        assert_eq!(cached.get_ref().pulls(), 1);
        assert_eq!(cached.list_cached().await.unwrap(), [REFERENCE]);
        assert!(cached.remove("demo:v1").await.unwrap());
        assert!(!cached.is_cached("demo:v1").await);
        cached.pull("demo:v1").await.unwrap();
        assert_eq!(cached.get_ref().pulls(), 2);
    }
}

#[tokio::test]
async fn equal_pulls_that_overlap_are_one_and_a_force_pull_is_never_one_of_them() {
    let dir = TempDir::new().unwrap();
    let cached = cached(&dir, "store", image(&dir, "layer"));
    let inner = cached.get_ref();
    inner.open.forget_permits(100);
    let (first, second, forced, ()) = tokio::join!(
        cached.pull("demo:v1"),
        cached.pull("docker.io/library/demo:v1"),
        cached.force_pull("demo:v1"),
        async { inner.open.add_permits(2) },
    );
    assert_eq!(first.unwrap().digest, second.unwrap().digest);
    forced.unwrap();
    assert_eq!(inner.pulls(), 2);
}

#[tokio::test]
async fn a_force_pull_asks_and_replaces_only_by_success() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (image(&dir, "old"), image(&dir, "new"));
    let cached = cached(&dir, "foreign", old.clone());
    cached.pull("demo:v1").await.unwrap();
    let layer = new.source.join("blobs/sha256").join(Digest::sha256(b"new").hex());
    fs::write(&layer, "n3w").unwrap();
    *cached.get_ref().image.lock().unwrap() = new.clone();
    let error = cached.force_pull("demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch);
    assert_eq!(cached.pull("demo:v1").await.unwrap().digest, old.manifest.digest.to_string());
    fs::write(&layer, "new").unwrap();
    assert_eq!(cached.force_pull("demo:v1").await.unwrap().digest, new.manifest.digest.to_string());
    assert_eq!(cached.pull("demo:v1").await.unwrap().digest, new.manifest.digest.to_string());
}

#[tokio::test]
async fn a_force_pull_from_elsewhere_heals_what_is_damaged_here() {
    let dir = TempDir::new().unwrap();
    let cached = cached(&dir, "foreign", image(&dir, "layer"));
    let pulled = cached.pull("demo:v1").await.unwrap();
    let layer = pulled.path.join("blobs/sha256").join(Digest::sha256(b"layer").hex());
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, "lay3r").unwrap();
    cached.force_pull("demo:v1").await.unwrap();
    assert_eq!(fs::read(&layer).unwrap(), b"layer");
}

#[tokio::test]
async fn the_index_that_the_inner_registry_kept_is_not_lost() {
    let dir = TempDir::new().unwrap();
    let index = b"an index".to_vec();
    let top = Digest::sha256(&index);
    let image = Image { index: Some(index), ..image(&dir, "layer") };
    let cached = cached(&dir, "store", image.clone());
    cached.pull("demo:v1").await.unwrap();
    let reference: Reference = REFERENCE.parse().unwrap();
    let stored = store(&dir, "store").peek(&reference, &platform()).unwrap().unwrap();
    assert_eq!(stored.resolved, top);
    cached.pull(&format!("demo@{top}")).await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 1, "the index's digest is a name of the same image");
}

#[tokio::test]
async fn a_digest_is_cached_only_where_it_is_proven() {
    let index = b"an index".to_vec();
    let top = Digest::sha256(&index);
    for (inner_store, proven) in [("store", true), ("foreign", false)] {
        let dir = TempDir::new().unwrap();
        let image = Image { index: Some(index.clone()), ..image(&dir, "layer") };
        let cached = cached(&dir, inner_store, image.clone());
        let by_index = format!("docker.io/library/demo@{top}");
        assert_eq!(cached.pull(&by_index).await.unwrap().reference, by_index);
        assert_eq!(cached.is_cached(&by_index).await, proven);
        let by_manifest = format!("demo@{}", image.manifest.digest);
        assert_eq!(cached.pull(&by_manifest).await.unwrap().digest, image.manifest.digest.to_string());
        assert!(cached.is_cached(&by_manifest).await);
    }
}

#[tokio::test]
async fn an_image_for_another_platform_is_not_cached() {
    let dir = TempDir::new().unwrap();
    let seen = Arc::<Mutex<Vec<Event>>>::default();
    let sink = seen.clone();
    let cached = cached(&dir, "foreign", image(&dir, "layer"))
        .with_platform("linux/s390x".parse().unwrap())
        .with_events(Events::to(move |event| sink.lock().unwrap().push(event)));
    let error = cached.pull("demo:v1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PlatformMissing { .. }));
    assert!(!cached.is_cached("demo:v1").await);
    let seen = seen.lock().unwrap();
    assert!(matches!(&seen[..], [Event::Failed { kind, .. }] if kind == error.kind()), "{seen:?}");
}

#[tokio::test]
async fn a_layout_that_is_not_what_the_inner_registry_says_is_refused() {
    /// Claims that any directory is any image.
    struct Liar(PulledImage);

    #[async_trait::async_trait]
    impl ImageRegistry for Liar {
        async fn pull(&self, _: &str) -> Result<PulledImage> {
            Ok(self.0.clone())
        }
        async fn force_pull(&self, _: &str) -> Result<PulledImage> {
            Ok(self.0.clone())
        }
        async fn is_cached(&self, _: &str) -> bool {
            true
        }
        async fn remove(&self, _: &str) -> Result<bool> {
            Err(Error::new(ErrorKind::Unsupported, "no"))
        }
        async fn list_cached(&self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    let dir = TempDir::new().unwrap();
    let (a, b) = (image(&dir, "a"), image(&dir, "b"));
    let digest = b.manifest.digest.to_string();
    let lie = PulledImage { path: a.source, digest, reference: REFERENCE.to_owned() };
    let cached = Cached::new(Liar(lie), store(&dir, "store")).with_platform(platform());
    assert_eq!(*cached.pull("demo:v1").await.unwrap_err().kind(), ErrorKind::Malformed);
    assert!(!cached.is_cached("demo:v1").await);
}
