//! Calls that own their work, that end with their caller, and what is leased while somebody wants leases.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use futures_util::{FutureExt, poll};
use hoist_core::{Admission, Candidate, Error, ErrorKind, Result};
use hoist_store::{FsckOptions, GcOptions, Store, Verify, owned};
use tempfile::TempDir;
use tokio::sync::{Mutex, oneshot};

use crate::support::{image, open, platform, put, reference, tree};

/// Says when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_call_that_is_begun_goes_on_though_nobody_polls_it() {
    let lock = Arc::new(Mutex::new(()));
    let (begun, has_begun) = oneshot::channel();
    let (go_on, goes_on) = oneshot::channel::<()>();
    let held = lock.clone();
    let mut call = Box::pin(owned(async move {
        let _held = held.lock().await;
        _ = begun.send(());
        _ = goes_on.await;
        Ok(1)
    }));
    assert!(poll!(call.as_mut()).is_pending());
    has_begun.await.unwrap();
    go_on.send(()).unwrap();
    drop(lock.lock().await); // which the call had
    assert_eq!(call.await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_holds_is_gone_when_its_drop_has_returned() {
    for _ in 0..1000 {
        let gone = Arc::new(AtomicBool::default());
        let flag = Flag(gone.clone());
        // One within the other, as decorators are.
        let mut call = Box::pin(owned(owned(owned(async move {
            let _flag = flag;
            pending::<Result<()>>().await
        }))));
        assert!(poll!(call.as_mut()).is_pending());
        drop(call);
        assert!(gone.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn a_panic_is_the_callers() {
    let call = owned(async { if true { panic!("by accident") } else { Ok(()) } });
    let panic = std::panic::AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"by accident"));
}

#[test]
fn a_runtime_that_shuts_down_ends_the_call_with_an_error_and_drops_its_work() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gone = Arc::new(AtomicBool::default());
    let flag = Flag(gone.clone());
    let mut call = Box::pin(owned(async move {
        let _flag = flag;
        pending::<Result<()>>().await
    }));
    runtime.block_on(async { assert!(poll!(call.as_mut()).is_pending()) });
    drop(runtime);
    assert!(gone.load(Ordering::SeqCst));
    let error = call.now_or_never().unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage);
    assert!(error.report().contains("runtime"), "{}", error.report());
    let error = owned(async { Ok(()) }).now_or_never().unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported, "outside of a runtime");
}

/// Whoever asks is held in the middle of naming, on its thread, until both sides have come.
struct Held(Arc<Barrier>);

impl Admission for Held {
    fn admit(&self, _: &Candidate<'_>) -> Result<()> {
        self.0.wait();
        self.0.wait();
        Ok(())
    }
}

#[tokio::test]
async fn no_name_is_given_after_the_drop_returned_and_idle_says_when_all_has_ended() {
    let dir = TempDir::new().unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let (plain, name) = (open(&dir), reference("demo:v1"));
    let lease = put(&plain, &image(b"layer"), Verify::Cached).await;
    let store = plain.clone().with_admission(Arc::new(Held(barrier.clone())));
    let mut call = Box::pin(store.owned(|store| async move {
        let (name, platform) = (reference("demo:v1"), platform());
        store.blocking(move |store| store.name(&name, &platform, &lease, None)).await
    }));
    assert!(poll!(call.as_mut()).is_pending());
    tokio::task::yield_now().await; // the call's task has its turn, on this thread
    barrier.wait(); // it is naming
    drop(call);
    barrier.wait();
    assert!(store.idle().now_or_never().is_none() || plain.peek(&name, &platform()).unwrap().is_none());
    store.idle().await;
    assert_eq!(plain.peek(&name, &platform()).unwrap(), None);
    assert_eq!(plain.list(&platform()).unwrap(), []);
    plain.gc(GcOptions::default().with_all(true)).unwrap();
    assert_eq!(plain.fsck(&FsckOptions::default()).unwrap().findings.len(), 0);
    let left = tree(&dir.path().join("store"));
    let kinds = ["/refs/", "/names/sha256/", "/images/sha256/", "/blobs/sha256/", "/staging/"];
    let left: Vec<_> = left.iter().filter(|path| kinds.iter().any(|kind| path.contains(kind))).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_staged_when_a_call_is_dropped_is_cleaned_up_before_the_store_is_idle() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let mut call = Box::pin(store.owned(|store| async move {
        let _staging = store.stage(Verify::Cached)?;
        pending::<Result<()>>().await
    }));
    assert!(poll!(call.as_mut()).is_pending());
    tokio::task::yield_now().await;
    let staging = dir.path().join("store/staging");
    assert_eq!(tree(&staging).len(), 2, "it is staged");
    drop(call);
    store.idle().await;
    assert_eq!(tree(&staging), Vec::<String>::new());
}

#[tokio::test]
async fn all_that_is_named_or_hit_is_leased_for_each_who_wants_leases() {
    let dir = TempDir::new().unwrap();
    let (store, platform) = (open(&dir), platform());
    let (named, hit, before) = (image(b"named"), image(b"hit"), image(b"before"));
    for (image, name) in [(&before, "demo:before"), (&hit, "demo:hit")] {
        drop(crate::support::pull(&store, image, name).await);
    }
    let (one, other) = (store.leasing(), store.clone().leasing());
    drop(crate::support::pull(&store, &named, "demo:named").await);
    store.get_and_touch(&reference("demo:hit"), &platform).await.unwrap().unwrap();
    for name in ["demo:before", "demo:hit", "demo:named"] {
        store.remove(&reference(name), &platform).unwrap();
    }
    let is_here =
        |store: &Store, image: &crate::support::Image| store.image_path(&image.manifest.digest).exists();
    assert!(!is_here(&store, &before));
    for image in [&named, &hit] {
        let digest = &image.manifest.digest;
        let lease = one.take(digest).expect("it is leased");
        drop(other.take(digest).expect("it is leased for the other as well"));
        assert!(one.take(digest).is_none(), "it was taken");
        assert!(is_here(&store, image));
        drop(lease);
        assert!(store.remove_unnamed(digest).unwrap());
    }
    assert!(one.take(&before.manifest.digest).is_none());
}

#[tokio::test]
async fn what_is_found_and_gone_before_it_is_leased_is_no_hit() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let demo = image(b"layer");
    crate::support::pull(&store, &demo, "demo:v1").await;
    let _leasing = store.leasing();
    std::fs::remove_dir_all(store.image_path(&demo.manifest.digest)).unwrap();
    assert_eq!(store.get_and_touch(&reference("demo:v1"), &platform()).await.unwrap(), None);
}

#[tokio::test]
async fn a_call_that_fails_says_why() {
    let failed = owned(async { Err::<(), _>(Error::new(ErrorKind::NotFound, "lost")) }).await;
    assert_eq!(*failed.unwrap_err().kind(), ErrorKind::NotFound);
}
