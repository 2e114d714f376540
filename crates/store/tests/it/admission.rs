//! Admission: no image gets a name, or is handed out by one, that somebody refuses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::SystemTime;

use hoist_core::{Admission, Candidate, Digest, Error, ErrorKind, Reference, Result};
use hoist_store::{GcOptions, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{image, open, platform, pull, put, reference, tree};

/// Refuses one image, and one name, and notes whom it was asked about.
#[derive(Default)]
struct Watch {
    refused: Mutex<Option<Digest>>,
    refused_name: Option<Reference>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    reference: Reference,
    resolved: Digest,
    digest: Digest,
    path: PathBuf,
    thread: ThreadId,
}

impl Watch {
    fn refusing(digest: &Digest) -> Arc<Self> {
        Arc::new(Self { refused: Mutex::new(Some(digest.clone())), ..Self::default() })
    }

    fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Admission for Watch {
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        match &self.refused_name {
            Some(refused) if refused == reference => Err(Error::new(ErrorKind::Refused, "not this name")),
            _ => Ok(()),
        }
    }

    fn admit(&self, image: &Candidate<'_>) -> Result<()> {
        assert!(image.path.join("index.json").exists(), "it can be read");
        assert_eq!(*image.platform, platform());
        let (reference, resolved, digest) = (image.reference, image.resolved, image.digest);
        self.asked.lock().unwrap().push(Asked {
            reference: reference.clone(),
            resolved: resolved.clone(),
            digest: digest.clone(),
            path: image.path.to_owned(),
            thread: thread::current().id(),
        });
        match &*self.refused.lock().unwrap() {
            Some(refused) if refused == digest => {
                Err(Error::new(ErrorKind::Refused, "nobody has signed it").with_help("have it signed"))
            }
            _ => Ok(()),
        }
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T>) {
    let error = outcome.expect_err("it is refused");
    assert_eq!(*error.kind(), ErrorKind::Refused);
    assert!(error.report().contains(" is not admitted: "), "{}", error.report());
}

#[tokio::test]
async fn what_is_refused_gets_no_name_and_the_old_image_stays() {
    let dir = TempDir::new().unwrap();
    let new = image(b"new");
    let watch = Watch::refusing(&new.manifest.digest);
    let store = open(&dir).with_admission(watch.clone());
    let old = pull(&store, &image(b"old"), "demo").await;
    let lease = put(&store, &new, Verify::Cached).await;
    let before = tree(&store.root().join("refs"));
    let error = store.name(&reference("demo"), &platform(), &lease, None).unwrap_err();
    let report = "docker.io/library/demo:latest is not admitted: nobody has signed it; have it signed";
    assert_eq!(error.report(), report);
    assert_refused(store.name(&reference("other"), &platform(), &lease, None));
    assert_eq!(tree(&store.root().join("refs")), before);
    assert_eq!(store.get_and_touch(&reference("demo"), &platform()).await.unwrap(), Some(old));
    assert_eq!(store.unnamed().unwrap(), std::slice::from_ref(&new.manifest.digest));
    // It is kept until it is collected, so that it costs nothing once somebody has signed it.
    *watch.refused.lock().unwrap() = None;
    store.name(&reference("demo"), &platform(), &lease, None).unwrap();
}

#[tokio::test]
async fn what_another_process_has_named_is_told_and_removed_and_not_handed_out() {
    let dir = TempDir::new().unwrap();
    let refused = pull(&open(&dir), &image(b"layer"), "demo:v1").await;
    let store = open(&dir).with_admission(Watch::refusing(&refused.digest));
    let by_digest = reference(&format!("demo@{}", refused.digest));
    for name in [reference("demo:v1"), by_digest.clone()] {
        assert_refused(store.resolve(&name, &platform()).await);
        assert_refused(store.get_and_touch(&name, &platform()).await);
        assert_eq!(store.peek(&name, &platform()).unwrap().unwrap().digest, refused.digest);
    }
    assert_eq!(store.list(&platform()).unwrap(), [reference("demo:v1")], "no name was written");
    assert!(
        open(&dir).get_and_touch(&reference("demo:v1"), &platform()).await.unwrap().is_some(),
        "a handle without it"
    );
    assert!(store.remove(&by_digest, &platform()).unwrap());
    assert_eq!(store.list(&platform()).unwrap(), []);
}

#[tokio::test]
async fn what_is_refused_is_not_confirmed_and_its_use_not_noted() {
    let dir = TempDir::new().unwrap();
    let image = image(b"layer");
    let watch = Arc::new(Watch::default());
    let store = open(&dir).with_admission(watch.clone());
    let stored = pull(&store, &image, "demo:v1").await;
    let file = store.root().join("refs/docker.io/library/demo/_tag/v1/linux-amd64");
    std::fs::File::open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    *watch.refused.lock().unwrap() = Some(stored.digest);
    assert_refused(store.confirm(&reference("demo:v1"), &platform(), &lease, SystemTime::now()));
    assert_refused(store.get_and_touch(&reference("demo:v1"), &platform()).await);
    assert_eq!(file.metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
    *watch.refused.lock().unwrap() = None;
    store.confirm(&reference("demo:v1"), &platform(), &lease, SystemTime::now()).unwrap();
    assert_ne!(file.metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
}

#[tokio::test]
async fn an_admission_is_told_what_the_name_was_resolved_to_and_may_block() {
    let dir = TempDir::new().unwrap();
    let watch = Arc::new(Watch::default());
    let store = open(&dir).with_admission(watch.clone());
    let image = image(b"layer");
    let lease = put(&store, &image, Verify::Cached).await;
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    let top = Digest::sha256(index);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&top, index))).unwrap();
    let (by_tag, by_index) = (reference("demo:v1"), reference(&format!("demo@{top}")));
    watch.take_asked();
    store.resolve(&by_tag, &platform()).await.unwrap().unwrap();
    store.get_and_touch(&by_tag, &platform()).await.unwrap().unwrap();
    store.get_and_touch(&by_index, &platform()).await.unwrap().unwrap();
    let asked = watch.take_asked();
    let names: Vec<_> = asked.iter().map(|asked| &asked.reference).collect();
    assert_eq!(names, [&by_tag, &by_tag, &by_index], "once each");
    for asked in asked {
        assert_eq!((&asked.resolved, &asked.digest), (&top, &image.manifest.digest));
        assert_eq!(asked.path, store.image_path(&image.manifest.digest));
        assert_ne!(asked.thread, thread::current().id(), "the one thread of this runtime");
    }
}

#[tokio::test]
async fn a_name_that_is_refused_is_refused_for_every_image() {
    let dir = TempDir::new().unwrap();
    let watch = Watch { refused_name: Some(reference("demo:v2")), ..Watch::default() };
    let store = open(&dir).with_admission(Arc::new(watch));
    pull(&store, &image(b"layer"), "demo:v1").await;
    let lease = put(&store, &image(b"layer"), Verify::Cached).await;
    assert_refused(store.name(&reference("demo:v2"), &platform(), &lease, None));
    assert_refused(store.admit_reference(&reference("demo:v2")));
    store.admit_reference(&reference("demo:v1")).unwrap();
    let all = store.with_admission(Arc::new(Watch::default()));
    assert_refused(all.admit_reference(&reference("demo:v2")));
}

#[tokio::test]
async fn each_of_several_has_to_admit_an_image() {
    let dir = TempDir::new().unwrap();
    let (one, other) = (image(b"one"), image(b"other"));
    let store = open(&dir);
    for refused in [&one, &other] {
        pull(&store, refused, "demo").await;
        for first in [true, false] {
            let watches = [Watch::refusing(&refused.manifest.digest), Arc::new(Watch::default())];
            let [a, b] = if first {
                watches
            } else {
                let [a, b] = watches;
                [b, a]
            };
            let store = store.clone().with_admission(a).with_admission(b);
            assert_refused(store.get_and_touch(&reference("demo"), &platform()).await);
        }
    }
}

#[tokio::test]
async fn what_is_refused_takes_the_place_of_nothing_and_does_not_pile_up() {
    const LAYER: usize = 1 << 20;
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_max_size(2 * LAYER as u64);
    let watch = Arc::new(Watch::default());
    let store = Store::open(dir.path().join("store"), options).unwrap().with_admission(watch.clone());
    pull(&store, &image(&vec![1; LAYER]), "demo").await;
    for seed in 2..6 {
        let refused = image(&vec![seed; LAYER]);
        *watch.refused.lock().unwrap() = Some(refused.manifest.digest.clone());
        let lease = put(&store, &refused, Verify::Cached).await;
        assert_refused(store.name(&reference("demo"), &platform(), &lease, None));
        assert_eq!(store.unnamed().unwrap(), [refused.manifest.digest], "those before are collected");
    }
    assert_eq!(store.list(&platform()).unwrap(), [reference("demo")]);
    store.gc(GcOptions::default()).unwrap();
    assert_eq!(store.unnamed().unwrap(), []);
}
