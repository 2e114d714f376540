//! When the cache asks, what it remembers, and what it serves when nobody can be asked.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_cache::{Cached, Policy};
use hoist_core::{Digest, ErrorKind, Event, Events, ImageRegistry, PulledImage, Result};
use tempfile::TempDir;

use crate::support::{Fake, Image, REFERENCE, cached, image, platform, store};

const HOUR: Duration = Duration::from_hours(1);

fn with_policy(dir: &TempDir, policy: Policy) -> Cached<Fake> {
    cached(dir, "store", image(dir, "layer")).with_policy(policy)
}

/// The ref of the one image.
fn ref_path(dir: &TempDir) -> PathBuf {
    dir.path().join("store/refs/docker.io/library/demo/_tag/v1/linux-amd64")
}

/// Makes the ref of the one image look as if it was written at this time, in seconds since 1970.
fn set_pulled(dir: &TempDir, time: u64) {
    let path = ref_path(dir);
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["pulled"] = time.into();
    fs::write(path, record.to_string()).unwrap();
}

/// Keeps what is reported, as the names of the events.
fn recorder() -> (Events, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let events = seen.clone();
    let name = |event: &Event| format!("{event:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
    (Events::to(move |event| events.lock().unwrap().push(name(&event))), seen)
}

#[tokio::test]
async fn always_asks_each_time_for_a_tag_and_never_again_for_a_digest() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::Always);
    let digest = cached.pull("demo:v1").await.unwrap().digest;
    cached.pull("demo:v1").await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 2);
    cached.pull(&format!("demo@{digest}")).await.unwrap();
    cached.pull(&format!("demo:v1@{digest}")).await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 2, "a digest says what it is");
    assert_eq!(cached.list_cached().await.unwrap().len(), 2);
}

#[tokio::test]
async fn always_sees_a_tag_that_moved() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let cached = cached(&dir, inner_store, image(&dir, "old")).with_policy(Policy::Always);
        cached.pull("demo:v1").await.unwrap();
        let new = image(&dir, "new");
        *cached.get_ref().image.lock().unwrap() = new.clone();
        assert_eq!(cached.pull("demo:v1").await.unwrap().digest, new.manifest.digest.to_string());
        assert_eq!(cached.resolve("demo:v1").await.unwrap().unwrap().digest, new.manifest.digest.to_string());
    }
}

#[tokio::test]
async fn never_answers_with_what_is_here_and_asks_nobody() {
    let dir = TempDir::new().unwrap();
    let (events, seen) = recorder();
    let never = with_policy(&dir, Policy::Never).with_events(events);
    let error = never.pull("demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.report().contains("`never`"), "{}", error.report());
    assert_eq!(*seen.lock().unwrap(), ["Started", "Failed"], "nobody else tells of it");
    cached(&dir, "store", image(&dir, "layer")).pull("demo:v1").await.unwrap();
    assert_eq!(never.pull("demo:v1").await.unwrap().reference, REFERENCE);
    assert_eq!(*never.force_pull("demo:v1").await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(never.get_ref().pulls(), 0);
    assert!(never.is_cached("demo:v1").await, "what could not be forced is still here");
}

#[tokio::test]
async fn what_is_new_enough_is_not_asked_for() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::NewerThan(HOUR));
    let digest = cached.pull("demo:v1").await.unwrap().digest;
    cached.pull("demo:v1").await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 1);
    set_pulled(&dir, 0);
    cached.pull(&format!("demo@{digest}")).await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 1, "a digest does not age");
}

#[tokio::test]
async fn what_has_aged_is_confirmed_once_and_then_new_again() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let cached = cached(&dir, inner_store, image(&dir, "layer")).with_policy(Policy::NewerThan(HOUR));
        cached.pull("demo:v1").await.unwrap();
        for time in [0, u64::MAX, u64::from(u32::MAX)] {
            let asked = cached.get_ref().pulls();
            set_pulled(&dir, time);
            cached.pull("demo:v1").await.unwrap();
            cached.pull("demo:v1").await.unwrap();
            assert_eq!(cached.get_ref().pulls(), asked + 1, "pulled at {time}");
        }
    }
}

#[tokio::test]
async fn what_does_not_age_is_not_written_again_as_long_as_it_is_so() {
    let dir = TempDir::new().unwrap();
    let cached = cached(&dir, "foreign", image(&dir, "layer")).with_policy(Policy::Always);
    cached.pull("demo:v1").await.unwrap();
    set_pulled(&dir, 0);
    cached.pull("demo:v1").await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 2);
    let stored =
        store(&dir, "store").resolve(&REFERENCE.parse().unwrap(), &platform()).await.unwrap().unwrap();
    assert_eq!(stored.pulled, UNIX_EPOCH);
}

#[tokio::test]
async fn what_is_asked_for_each_time_is_used_each_time() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let cached = cached(&dir, inner_store, image(&dir, "layer")).with_policy(Policy::Always);
        cached.pull("demo:v1").await.unwrap();
        fs::File::open(ref_path(&dir)).unwrap().set_modified(UNIX_EPOCH).unwrap();
        cached.pull("demo:v1").await.unwrap();
        assert_ne!(fs::metadata(ref_path(&dir)).unwrap().modified().unwrap(), UNIX_EPOCH, "{inner_store}");
    }
}

#[tokio::test]
async fn what_is_removed_before_it_is_here_is_asked_for_again_and_never_called_missing() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let cached = cached(&dir, inner_store, image(&dir, "layer")).with_not_found_kept_for(HOUR);
        cached.get_ref().vanishing.store(1, Ordering::SeqCst);
        cached.pull("demo:v1").await.unwrap();
        assert_eq!(cached.get_ref().pulls(), 2, "{inner_store}");
        cached.get_ref().vanishing.store(100, Ordering::SeqCst);
        let error = cached.force_pull("demo:v1").await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
    }
}

#[tokio::test]
async fn an_image_that_is_not_whole_where_it_comes_from_is_not_called_missing() {
    let dir = TempDir::new().unwrap();
    let whole = image(&dir, "layer");
    let cached = Cached::new(Careless(whole.clone()), store(&dir, "store")).with_platform(platform());
    let cached = cached.with_not_found_kept_for(HOUR);
    let layer = whole.source.join("blobs/sha256").join(Digest::sha256(b"layer").hex());
    fs::remove_file(&layer).unwrap();
    let error = cached.pull("demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
    assert!(error.report().contains(&whole.source.display().to_string()), "{}", error.report());
    fs::write(&layer, "layer").unwrap();
    cached.pull("demo:v1").await.unwrap();
}

/// Hands out a layout as it is.
struct Careless(Image);

#[async_trait::async_trait]
impl ImageRegistry for Careless {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let Image { source, manifest, .. } = &self.0;
        Ok(PulledImage {
            path: source.clone(),
            reference: reference.to_owned(),
            digest: manifest.digest.to_string(),
        })
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull(reference).await
    }

    async fn is_cached(&self, _: &str) -> bool {
        false
    }

    async fn remove(&self, _: &str) -> Result<bool> {
        Ok(false)
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn what_is_not_found_may_be_remembered_for_ever() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::IfNotPresent).with_not_found_kept_for(Duration::MAX);
    cached.get_ref().say(ErrorKind::NotFound);
    for _ in 0..2 {
        assert_eq!(*cached.pull("demo:v1").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(cached.get_ref().pulls(), 1);
}

#[tokio::test]
async fn what_is_forced_counts_as_pulled_then() {
    for inner_store in ["store", "foreign"] {
        let dir = TempDir::new().unwrap();
        let cached = cached(&dir, inner_store, image(&dir, "layer"));
        cached.pull("demo:v1").await.unwrap();
        set_pulled(&dir, 0);
        cached.force_pull("demo:v1").await.unwrap();
        let known = store(&dir, "store").peek(&REFERENCE.parse().unwrap(), &platform()).unwrap().unwrap();
        assert!(known.pulled.elapsed().unwrap() < HOUR, "{inner_store}");
    }
}

#[tokio::test]
async fn to_confirm_an_image_keeps_the_index_that_it_came_by() {
    let dir = TempDir::new().unwrap();
    let index = b"an index".to_vec();
    let top = Digest::sha256(&index);
    let cached = cached(&dir, "store", Image { index: Some(index), ..image(&dir, "layer") });
    let image = cached.pull("demo:v1").await.unwrap();
    let (store, reference) = (store(&dir, "store"), REFERENCE.parse().unwrap());
    set_pulled(&dir, 0);
    let lease = store.lease(&image.digest.parse().unwrap()).unwrap().unwrap();
    let confirmed = store.confirm(&reference, &platform(), &lease, SystemTime::now()).unwrap();
    assert_eq!(confirmed.resolved, top);
    assert!(confirmed.pulled.elapsed().unwrap() < HOUR);
    assert_eq!(store.peek(&reference, &platform()).unwrap(), Some(confirmed));
    cached.pull(&format!("demo@{top}")).await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 1);
}

#[tokio::test]
async fn a_stale_image_is_served_where_nobody_can_be_asked_and_it_is_told() {
    for (kind, served) in [
        (ErrorKind::Unavailable, true),
        (ErrorKind::RateLimited { retry_after: None }, true),
        (ErrorKind::NotFound, false),
        (ErrorKind::Unauthorized, false),
        (ErrorKind::DigestMismatch, false),
    ] {
        let dir = TempDir::new().unwrap();
        let (events, seen) = recorder();
        let cached = with_policy(&dir, Policy::Always).with_stale(true).with_events(events);
        let image = cached.pull("demo:v1").await.unwrap();
        cached.get_ref().say(kind.clone());
        match cached.pull("demo:v1").await {
            Ok(stale) => assert!(served && stale.digest == image.digest, "{kind:?}"),
            Err(error) => assert!(!served && *error.kind() == kind, "{kind:?}"),
        }
        let told = ["Started", "Resolved", "ServedStale", "Committed"];
        assert_eq!(*seen.lock().unwrap(), if served { &told[..] } else { &[] }, "{kind:?}");
        assert_eq!(
            *cached.force_pull("demo:v1").await.unwrap_err().kind(),
            kind,
            "who forces it wants to know"
        );
        assert!(cached.is_cached("demo:v1").await);
    }
}

#[tokio::test]
async fn nothing_stale_is_served_unless_that_is_asked_for_and_there_is_something() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::Always);
    cached.pull("demo:v1").await.unwrap();
    cached.get_ref().say(ErrorKind::Unavailable);
    assert_eq!(*cached.pull("demo:v1").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let cached = cached.with_stale(true);
    assert_eq!(*cached.pull("demo:v2").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn no_failure_is_remembered() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::IfNotPresent);
    for kind in [ErrorKind::NotFound, ErrorKind::Unavailable] {
        cached.get_ref().say(kind.clone());
        assert_eq!(*cached.pull("demo:v1").await.unwrap_err().kind(), kind);
    }
    cached.get_ref().say(None);
    cached.pull("demo:v1").await.unwrap();
    assert_eq!(cached.get_ref().pulls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_found_is_remembered_for_as_long_as_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::IfNotPresent).with_not_found_kept_for(Duration::from_secs(5));
    let inner = cached.get_ref();
    inner.say(ErrorKind::Unavailable);
    cached.pull("demo:v1").await.unwrap_err();
    inner.say(ErrorKind::NotFound);
    for _ in 0..3 {
        assert_eq!(*cached.pull("demo:v1").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(inner.pulls(), 2, "only what was not found is remembered");
    cached.pull("demo:v2").await.unwrap_err();
    assert_eq!(inner.pulls(), 3, "another name is another matter");
    inner.say(None);
    tokio::time::advance(Duration::from_secs(4)).await;
    cached.pull("demo:v1").await.unwrap_err();
    tokio::time::advance(Duration::from_secs(1)).await;
    cached.pull("demo:v1").await.unwrap();
    assert_eq!(inner.pulls(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_thousand_are_remembered_and_the_oldest_make_room_when_their_time_is_over() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::IfNotPresent).with_not_found_kept_for(HOUR);
    let inner = cached.get_ref();
    inner.open.add_permits(2000);
    inner.say(ErrorKind::NotFound);
    for number in 0..=1000 {
        cached.pull(&format!("demo:{number}")).await.unwrap_err();
    }
    assert_eq!(inner.pulls(), 1001);
    cached.pull("demo:1000").await.unwrap_err();
    assert_eq!(inner.pulls(), 1002, "there was no room for it");
    cached.pull("demo:0").await.unwrap_err();
    assert_eq!(inner.pulls(), 1002, "and nothing had to go for it");
    tokio::time::advance(HOUR).await;
    cached.pull("demo:1000").await.unwrap_err();
    cached.pull("demo:1000").await.unwrap_err();
    assert_eq!(inner.pulls(), 1003, "now there is");
}

#[tokio::test(start_paused = true)]
async fn a_force_pull_and_a_remove_end_what_was_remembered() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::Always).with_not_found_kept_for(HOUR);
    let inner = cached.get_ref();
    inner.say(ErrorKind::NotFound);
    cached.pull("demo:v1").await.unwrap_err();
    inner.say(None);
    cached.force_pull("demo:v1").await.unwrap();
    cached.pull("demo:v1").await.unwrap();
    inner.say(ErrorKind::NotFound);
    cached.pull("demo:v1").await.unwrap_err();
    cached.remove("demo:v1").await.unwrap();
    inner.say(None);
    cached.pull("demo:v1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_a_force_pull_is_not_remembered_after_it() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::Always).with_not_found_kept_for(HOUR);
    let inner = cached.get_ref();
    inner.open.forget_permits(100);
    inner.say(ErrorKind::NotFound);
    let (early, ()) = tokio::join!(cached.pull("demo:v1"), async {
        inner.until_asked(1).await;
        inner.say(None);
        cached.force_pull("demo:v1").await.unwrap();
        inner.open.add_permits(1);
    });
    assert_eq!(*early.unwrap_err().kind(), ErrorKind::NotFound);
    inner.open.add_permits(1);
    cached.pull("demo:v1").await.unwrap();
}

#[tokio::test]
async fn a_pull_after_a_force_pull_never_has_an_answer_from_before_it() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::Always);
    let inner = cached.get_ref();
    inner.open.forget_permits(100);
    let (early, late) = tokio::join!(cached.pull("demo:v1"), async {
        cached.force_pull("demo:v1").await.unwrap();
        inner.open.add_permits(2);
        cached.pull("demo:v1").await
    });
    assert_eq!(early.unwrap().digest, late.unwrap().digest);
    assert_eq!(inner.pulls(), 3, "the early one is not joined");
}

#[tokio::test]
async fn a_pull_after_a_removal_never_has_an_answer_from_before_it() {
    let dir = TempDir::new().unwrap();
    let cached = with_policy(&dir, Policy::IfNotPresent);
    let inner = cached.get_ref();
    inner.open.forget_permits(100);
    let digest = inner.image.lock().unwrap().manifest.digest.clone();
    let (early, late) = tokio::join!(cached.pull("demo:v1"), async {
        // Under whichever of its names an image is removed, no pull of any goes on as if it had not been.
        cached.remove(&format!("demo@{digest}")).await.unwrap();
        inner.open.add_permits(2);
        cached.pull("demo:v1").await
    });
    assert_eq!(early.unwrap().digest, late.unwrap().digest);
    assert_eq!(inner.pulls(), 2, "the early one is not joined");
}

#[tokio::test]
async fn the_least_recently_used_goes_when_the_cache_is_full_and_nothing_that_is_leased() {
    let dir = TempDir::new().unwrap();
    let (events, seen) = recorder();
    let shared = store(&dir, "store");
    shared.report_to(events);
    let fake = cached(&dir, "foreign", image(&dir, "a")).into_inner();
    let cached = Cached::new(fake, shared.clone()).with_platform(platform());
    let leased = cached.pull("demo:a").await.unwrap();
    let lease = shared.lease(&leased.digest.parse().unwrap()).unwrap();
    let cached = cached.with_max_size(1);
    for layer in ["b", "c"] {
        *cached.get_ref().image.lock().unwrap() = image(&dir, layer);
        cached.pull(&format!("demo:{layer}")).await.unwrap();
    }
    let names = ["docker.io/library/demo:a", "docker.io/library/demo:c"];
    assert_eq!(cached.list_cached().await.unwrap(), names);
    assert_eq!(*seen.lock().unwrap(), ["Evicted"]);
    drop(lease);
}

#[test]
fn a_policy_is_shown_where_it_is_not_the_usual_one() {
    struct Inner;
    impl std::fmt::Display for Inner {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("inner")
        }
    }
    let dir = TempDir::new().unwrap();
    for (policy, shown) in [
        (Policy::IfNotPresent, "cached(inner)"),
        (Policy::Always, "cached(always, inner)"),
        (Policy::Never, "cached(never, inner)"),
        (Policy::NewerThan(HOUR), "cached(newer-than 3600s, inner)"),
    ] {
        assert_eq!(Cached::new(Inner, store(&dir, "store")).with_policy(policy).to_string(), shown);
    }
}
