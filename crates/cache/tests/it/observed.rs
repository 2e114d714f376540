//! What those see who watch a registry.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::pending;
use std::sync::{Arc, Mutex};

use hoist_cache::{Limited, Observed};
use hoist_core::{
    Digest, Error, ErrorKind, Event, Events, ImageRegistry, Platform, PulledImage, Reference, Result,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

/// A registry that gives an image by some names, and an error or nothing by others.
struct Fake;

fn digest() -> Digest {
    Digest::sha256(b"an image")
}

#[async_trait::async_trait]
impl ImageRegistry for Fake {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let parsed: Reference = reference.parse()?;
        match parsed.repository() {
            "library/lost" => Err(Error::new(ErrorKind::NotFound, "lost")),
            "library/slow" => pending().await,
            _ => Ok(PulledImage {
                path: "/".into(),
                digest: digest().to_string(),
                reference: parsed.to_string(),
            }),
        }
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull(reference).await
    }

    async fn is_cached(&self, _: &str) -> bool {
        true
    }

    async fn remove(&self, _: &str) -> Result<bool> {
        Err(Error::new(ErrorKind::Storage, "broken"))
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Begins to pull what never comes, and drops that.
async fn give_up(registry: &impl ImageRegistry) {
    tokio::select! {
        biased;
        _ = registry.pull("slow") => panic!("it never comes"),
        () = std::future::ready(()) => {}
    }
}

/// Keeps each span, with the fields that it has at last.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(&'static str, Named)>>>);

type Named = BTreeMap<&'static str, String>;

struct Fields<'a>(&'a mut Named);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("hoist_cache")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let mut fields = Named::new();
        span.record(&mut Fields(&mut fields));
        spans.push((span.metadata().name(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let place = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Fields(&mut self.0.lock().unwrap()[place].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn each_call_is_a_span_with_names_that_others_know() {
    let spans = Spans::default();
    let _on = tracing::subscriber::set_default(spans.clone());
    let observed = Observed::new(Fake);
    observed.pull("demo").await.unwrap();
    observed.force_pull("lost:v1").await.unwrap_err();
    observed.pull("a b").await.unwrap_err();
    assert!(observed.is_cached(&format!("demo@{}", digest())).await);
    observed.remove("demo").await.unwrap_err();
    observed.list_cached().await.unwrap();

    let spans = spans.0.lock().unwrap();
    let names: Vec<_> = spans.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["pull", "force_pull", "pull", "is_cached", "remove", "list_cached"]);
    let field = |span: usize, name| spans[span].1.get(name).map(String::as_str);
    let digest = digest().to_string();
    for (span, name, value) in [
        (0, "container.image.name", Some("docker.io/library/demo")),
        (0, "container.image.tags", Some("latest")),
        (0, "oci.manifest.digest", Some(&digest[..])),
        (0, "error.type", None),
        (1, "container.image.tags", Some("v1")),
        (1, "error.type", Some("not_found")),
        (1, "otel.status_code", Some("ERROR")),
        (2, "container.image.name", None),
        (2, "error.type", Some("invalid_reference")),
        (3, "oci.manifest.digest", Some(&digest)),
        (4, "error.type", Some("storage")),
    ] {
        assert_eq!(field(span, name), value, "{name} of {}", spans[span].0);
    }
}

#[tokio::test]
async fn each_pull_begins_and_ends_once() {
    let seen = Arc::<Mutex<Vec<Event>>>::default();
    let sink = seen.clone();
    let observed = Observed::new(Fake).with_events(Events::to(move |event| sink.lock().unwrap().push(event)));
    observed.pull("demo").await.unwrap();
    observed.force_pull("lost").await.unwrap_err();
    give_up(&observed).await;
    observed.pull("a b").await.unwrap_err();
    let seen = seen.lock().unwrap();
    let ends: Vec<_> = seen.iter().filter(|event| event.is_end()).collect();
    assert_eq!(seen.len(), 6, "one beginning and one end each; what is no reference has none: {seen:?}");
    assert!(matches!(ends[0], Event::Committed { digest: of, .. } if *of == digest()));
    assert!(matches!(ends[1], Event::Failed { kind: ErrorKind::NotFound, .. }));
    assert!(
        matches!(ends[2], Event::Cancelled { reference, .. } if reference.repository() == "library/slow")
    );
}

/// A registry for one platform that reports what it finds, as a part of a stack.
struct Telling {
    platform: Platform,
    events: Events,
}

#[async_trait::async_trait]
impl ImageRegistry for Telling {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        tokio::task::yield_now().await;
        self.events.for_pull(&reference.parse()?, &self.platform).resolved(&digest());
        Fake.pull(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        Fake.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        Fake.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Fake.list_cached().await
    }
}

#[tokio::test]
async fn concurrent_pulls_for_two_platforms_are_told_apart_through_the_tasks_of_a_stack() {
    let seen = Arc::<Mutex<Vec<Event>>>::default();
    let sink = seen.clone();
    let events = Events::to(move |event| sink.lock().unwrap().push(event));
    let stack = |platform: &Platform| {
        let inner = Telling { platform: platform.clone(), events: events.within() };
        let limited = Limited::new(1, Observed::new(inner)); // which pulls in a task
        Observed::new(limited).with_platform(platform.clone()).with_events(events.clone())
    };
    let platforms = ["linux/amd64", "linux/arm64"].map(|name| name.parse::<Platform>().unwrap());
    let (amd, arm) = (stack(&platforms[0]), stack(&platforms[1]));
    let (one, other) = tokio::join!(amd.pull("demo"), arm.pull("demo"));
    assert!(one.is_ok() && other.is_ok());

    let seen = seen.lock().unwrap();
    assert!(matches!(seen[..2], [Event::Started { .. }, Event::Started { .. }]), "they overlap: {seen:?}");
    assert_ne!(seen[0].pull(), seen[1].pull());
    for (begun, wanted) in seen[..2].iter().zip(&platforms) {
        let of_pull: Vec<_> = seen.iter().filter(|event| event.pull() == begun.pull()).collect();
        let [
            Event::Started { platform: first, .. },
            Event::Resolved { platform: second, .. },
            Event::Committed { platform: third, .. },
        ] = of_pull[..]
        else {
            panic!("{seen:?}")
        };
        assert_eq!([first, second, third], [wanted; 3]);
    }
}

#[test]
fn it_is_shown_around_what_it_wraps() {
    struct Inner;
    impl std::fmt::Display for Inner {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("inner")
        }
    }
    let stack = Observed::new(Limited::new(4, hoist_cache::Fallback::new(Inner, Inner)));
    assert_eq!(stack.to_string(), "observed(limited(4, fallback(inner, inner)))");
}

#[cfg(feature = "metrics")]
mod counting {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use hoist_cache::{Observed, counted};
    use hoist_core::{Error, ErrorKind, Event, Events, ImageRegistry, Platform, Source};
    use metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::{Fake, digest, give_up};

    /// Keeps all numbers by their names, labels and all: of a histogram, how many there were.
    #[derive(Default)]
    struct Numbers(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    struct Tally(Arc<AtomicU64>);

    impl HistogramFn for Tally {
        fn record(&self, value: f64) {
            assert!(value >= 0.0);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Numbers {
        fn number(&self, key: &Key) -> Arc<AtomicU64> {
            let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
            let name = format!("{} {}", key.name(), labels.join(" "));
            self.0.lock().unwrap().entry(name.trim_end().to_owned()).or_default().clone()
        }

        fn all(&self) -> Vec<String> {
            let numbers = self.0.lock().unwrap();
            numbers.iter().map(|(name, number)| format!("{name} {}", number.load(Ordering::SeqCst))).collect()
        }
    }

    impl Recorder for Numbers {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.number(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("no gauge is used: {key}")
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(Tally(self.number(key))))
        }
    }

    #[tokio::test]
    async fn pulls_are_counted_by_their_result_and_timed() {
        let numbers = Numbers::default();
        let _on = metrics::set_default_local_recorder(&numbers);
        let observed = Observed::new(Fake);
        observed.pull("demo").await.unwrap();
        observed.pull("demo").await.unwrap();
        observed.force_pull("lost").await.unwrap_err();
        give_up(&observed).await;
        assert_eq!(
            numbers.all(),
            [
                "hoist_pull_duration_seconds force_pull not_found 1",
                "hoist_pull_duration_seconds pull cancelled 1",
                "hoist_pull_duration_seconds pull ok 2",
                "hoist_pulls_total force_pull not_found 1",
                "hoist_pulls_total pull cancelled 1",
                "hoist_pulls_total pull ok 2",
            ]
        );
    }

    #[test]
    fn events_are_counted_and_passed_on() {
        let numbers = Numbers::default();
        let (sink, mut received) = Events::channel(100);
        let events = counted(sink);
        let from = |source: &Source, bytes| Event::blob_progress(digest(), bytes, source.clone());
        let (registry, directory) =
            (Source::Registry("ghcr.io".into()), Source::Directory(std::path::Path::new("/srv").into()));
        let pull = events.for_pull(&"demo".parse().unwrap(), &Platform::host());
        metrics::with_local_recorder(&numbers, || {
            pull.hit(&digest());
            pull.served_stale(&digest(), &Error::new(ErrorKind::Unavailable, "nobody is there"));
            for event in [
                Event::blob_found(digest(), 3),
                from(&registry, 10),
                from(&directory, 5),
                from(&registry, 20),
                from(&Source::Store, 7),
                Event::blob_verified(digest()),
                Event::evicted(digest(), 4096),
            ] {
                events.emit(|| event);
            }
        });
        assert_eq!(
            numbers.all(),
            [
                "hoist_blob_bytes_total directory 5",
                "hoist_blob_bytes_total registry ghcr.io 30",
                "hoist_blob_bytes_total store 7",
                "hoist_blobs_found_total 1",
                "hoist_blobs_verified_total 1",
                "hoist_cache_hits_total 1",
                "hoist_cache_stale_total 1",
                "hoist_evicted_bytes_total 4096",
                "hoist_evictions_total 1",
            ]
        );
        assert_eq!(std::iter::from_fn(|| received.try_next()).count(), 9);
    }
}
