//! What a pull costs, in requests and bytes, and what is reported of it.

use std::sync::{Arc, Mutex};

use hoist_core::{Digest, ErrorKind, Event, Events};
use hoist_testkit::{Counts, Fault, Image, ImageIndex, Layer, On, PLATFORM};

use crate::setup::{Setup, pull, refused};

#[tokio::test]
async fn a_cold_pull_asks_for_the_manifest_and_each_blob_once() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    setup.pull(&reference).await;
    let counts = setup.mock.counts();
    let blobs = image.blobs().count();
    assert_eq!((counts.manifest_heads, counts.manifest_gets, counts.blob_gets), (0, 1, blobs));
    assert_eq!(setup.mock.requests().len(), 1 + blobs, "and for nothing else");
}

#[tokio::test]
async fn a_cold_pull_of_an_index_asks_for_two_manifests() {
    let index = ImageIndex::sample(1);
    let (setup, reference) = Setup::with(&index).await;
    setup.pull(&reference).await;
    let blobs = index.image(PLATFORM).blobs().count();
    assert_eq!(setup.mock.counts().manifest_gets, 2);
    assert_eq!(setup.mock.requests().len(), 2 + blobs, "and for nothing of another platform");
}

#[tokio::test]
async fn a_warm_pull_is_one_head() {
    for what in [Image::sample(1).into(), hoist_testkit::Publishable::from(ImageIndex::sample(1))] {
        let (setup, reference) = Setup::with(what).await;
        setup.pull(&reference).await;
        setup.mock.forget_requests();
        setup.pull(&reference).await;
        assert_eq!(setup.mock.counts(), Counts { manifest_heads: 1, ..Counts::default() });
        assert_eq!(setup.mock.requests().len(), 1);
    }
}

#[tokio::test]
async fn where_a_head_is_refused_a_warm_pull_is_one_get() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::HeadRefused);
    setup.pull(&reference).await;
    setup.mock.forget_requests();
    setup.pull(&reference).await;
    let expected = Counts { manifest_heads: 1, manifest_gets: 1, ..Counts::default() };
    assert_eq!(setup.mock.counts(), expected);
}

/// containerd#6684, distribution#1485, watchtower#667.
#[tokio::test]
async fn a_head_that_is_answered_403_404_or_405_is_followed_by_a_get() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.pull(&reference).await;
    for status in [403, 404, 405] {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::HeadStatus(status));
        setup.mock.forget_requests();
        setup.pull(&reference).await;
        assert_eq!(setup.mock.counts().manifest_gets, 1, "{status}");
    }
}

/// Harbor.
#[tokio::test]
async fn a_head_whose_length_is_not_that_of_the_get_is_no_trouble() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::HeadLength);
    for _ in ["cold", "warm"] {
        setup.pull(&reference).await;
    }
    assert_eq!(setup.mock.counts().manifest_gets, 1);
}

#[tokio::test]
async fn a_digest_that_is_here_asks_nobody() {
    let index = ImageIndex::sample(1);
    let (setup, reference) = Setup::with(&index).await;
    setup.pull(&reference).await;
    setup.mock.forget_requests();
    let repository = reference.strip_suffix(":v1").unwrap();
    for digest in [index.digest(), index.image(PLATFORM).digest()] {
        setup.pull(&format!("{repository}@{digest}")).await;
        setup.pull(&format!("{repository}:v1@{digest}")).await;
    }
    assert_eq!(setup.mock.requests(), []);
}

#[tokio::test]
async fn an_updated_tag_fetches_only_what_changed() {
    let (base, old, new) = (Layer::random(5000, 1), Layer::random(5000, 2), Layer::random(5000, 3));
    let (setup, reference) = Setup::with(Image::builder().layers([base.clone(), old]).build()).await;
    setup.pull(&reference).await;
    setup.mock.forget_requests();
    let updated = Image::builder().layers([base, new]).build();
    setup.mock.publish("demo", "v1", &updated);
    setup.pull(&reference).await;
    let [kept, changed] = [0, 1].map(|layer| setup.mock.bytes_served(&updated.layers()[layer].digest));
    assert_eq!((kept, changed), (0, updated.layers()[1].bytes.len() as u64));
    let expected = Counts { manifest_heads: 1, manifest_gets: 1, blob_gets: 2, ..setup.mock.counts() };
    assert_eq!(setup.mock.counts(), expected, "the layer and the config");
}

/// All events of the pulls with a registry.
fn recorded() -> (Events, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    (Events::to(move |event| sink.lock().unwrap().push(event)), events)
}

/// What the events say of one blob: `started`, the sum of its progress, `verified`.
fn story(events: &[Event], blob: &Digest) -> Vec<String> {
    let mut story = Vec::new();
    let mut sum = 0;
    for event in events {
        match event {
            Event::BlobFound { digest, size, .. } if digest == blob => story.push(format!("found {size}")),
            Event::BlobStarted { digest, size, .. } if digest == blob => {
                story.push(format!("started {size}"));
            }
            Event::BlobProgress { digest, bytes, .. } if digest == blob => sum += bytes,
            Event::BlobVerified { digest, .. } if digest == blob => story.push(format!("verified {sum}")),
            _ => {}
        }
    }
    story
}

#[tokio::test]
async fn events_tell_the_story_of_a_pull() {
    let image = Image::builder().layers((0..3).map(|seed| Layer::random(100_000, seed))).build();
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(1, On::Digest(image.layers()[1].digest.clone()), Fault::CutShort);
    let (events, recorded) = recorded();
    pull(&setup.registry().with_events(events), &reference).await;
    let events = std::mem::take(&mut *recorded.lock().unwrap());
    let [Event::Started { .. }, Event::Resolved { digest, .. }, blobs @ .., Event::Committed { .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(digest, image.digest());
    for blob in image.blobs() {
        let len = blob.bytes.len();
        assert_eq!(story(blobs, &blob.digest), [format!("started {len}"), format!("verified {len}")]);
    }
}

#[tokio::test]
async fn events_tell_what_was_here_before() {
    let image = Image::builder().layer(Layer::random(100_000, 1)).build();
    let (setup, reference) = Setup::with(&image).await;
    let layer = &image.layers()[0];
    setup.mock.fail_next(1, On::Digest(layer.digest.clone()), Fault::CutShort);
    refused(&setup.registry().with_options(|options| options.with_retries(0)), &reference).await;
    let (events, recorded) = recorded();
    pull(&setup.registry().with_events(events), &reference).await;
    let events = std::mem::take(&mut *recorded.lock().unwrap());
    let len = layer.bytes.len();
    assert_eq!(story(&events, &layer.digest), [format!("started {len}"), format!("verified {len}")]);
    let config = image.config();
    assert_eq!(story(&events, &config.digest), [format!("found {}", config.bytes.len())]);
}

#[tokio::test]
async fn events_end_with_the_failure() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Blobs, Fault::Status(403));
    let (events, recorded) = recorded();
    refused(&setup.registry().with_events(events), &reference).await;
    let events = std::mem::take(&mut *recorded.lock().unwrap());
    let Some(Event::Failed { kind, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(*kind, ErrorKind::Forbidden);
    assert!(!events.iter().any(|event| matches!(event, Event::Committed { .. })));
}
