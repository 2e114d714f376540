//! Concurrency: calls that overlap agree, and those that are dropped leave nothing behind.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{Either, join, join_all, poll_fn, select};
use hoist_core::{PulledImage, Result};
use tokio::task::JoinHandle;

use super::super::harness::Subject;
use super::support::{assert_is, kind_of, pull_published, siblings};
use crate::image::{Image, flip_a_bit};
use crate::mock::Gate;

/// How many do the same at once.
const CROWD: usize = 16;
/// How many bytes of a blob arrive before it is held.
const SOME: u64 = 1000;

/// Pulls the same image several times at once, each from a task of its own.
async fn pull_at_once(subject: &Subject, reference: &str) -> Vec<Result<PulledImage>> {
    let pulls = (0..CROWD).map(|_| {
        let (registry, reference) = (Arc::clone(subject.registry()), reference.to_owned());
        tokio::spawn(async move { registry.pull(&reference).await })
    });
    join_all(pulls).await.into_iter().map(|pull| pull.expect("a pull does not panic")).collect()
}

pub(super) async fn equal_pulls_at_once_agree(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    for pulled in pull_at_once(subject, &reference).await {
        assert_is(&pulled.unwrap(), &image);
    }
    assert_eq!(subject.list().await, [reference]);
}

pub(super) async fn equal_pulls_at_once_transfer_each_blob_once(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    let gate = subject.origin().hold_blobs(0);
    let release = async {
        gate.until_held(1).await;
        gate.release();
    };
    let (pulls, ()) = join(join_all((0..CROWD).map(|_| subject.pull(&reference))), release).await;
    for pulled in pulls {
        assert_is(&pulled.unwrap(), &image);
    }
    for blob in image.blobs() {
        assert_eq!(
            subject.origin().bytes_served(&blob.digest),
            blob.bytes.len() as u64,
            "{}",
            blob.media_type
        );
    }
}

pub(super) async fn equal_pulls_at_once_fail_alike(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    let reference = subject.publish("demo", "v1", &image).await;
    subject.origin().replace(&layer.digest, flip_a_bit(&layer.bytes)).await;
    let kinds: Vec<_> = pull_at_once(subject, &reference).await.into_iter().map(kind_of).collect();
    assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{kinds:?}");
    subject.origin().repair().await;
    assert_is(&subject.pull(&reference).await.unwrap(), &image);
}

pub(super) async fn overlapping_pulls_agree(subject: &Subject) {
    let (one, other, _) = siblings();
    let first = subject.publish("one", "v1", &one).await;
    let second = subject.publish("other", "v1", &other).await;
    for _ in ["cold", "warm"] {
        let (pulled, pulled_too) = join(subject.pull(&first), subject.pull(&second)).await;
        assert_is(&pulled.unwrap(), &one);
        assert_is(&pulled_too.unwrap(), &other);
    }
}

pub(super) async fn tags_of_one_image_at_once_agree(subject: &Subject) {
    let image = Image::sample(1);
    let mut references = Vec::new();
    for tag in ["a", "b", "c", "d"] {
        references.push(subject.publish("demo", tag, &image).await);
    }
    for pulled in join_all(references.iter().map(|reference| subject.pull(reference))).await {
        assert_is(&pulled.unwrap(), &image);
    }
    assert_eq!(subject.list().await, references);
}

/// Begins a pull, and drops it when one of its blobs is held by the gate.
async fn drop_when_held(pull: impl Future<Output = Result<PulledImage>>, gate: &Gate, held: usize) {
    if let Either::Left((result, _)) = select(pin!(pull), pin!(gate.until_held(held))).await {
        panic!("the pull ended before it was held: {result:?}");
    }
}

pub(super) async fn a_pull_dropped_half_way_publishes_nothing(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    let gate = subject.origin().hold_blobs(SOME);
    drop_when_held(subject.pull(&reference), &gate, 1).await;
    assert!(!subject.is_cached(&reference).await, "it was dropped half way");
    assert!(subject.list().await.is_empty(), "it was dropped half way");
    gate.release();
    assert_is(&subject.pull(&reference).await.unwrap(), &image);
}

pub(super) async fn a_dropped_pull_does_not_take_others_with_it(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    let gate = subject.origin().hold_blobs(SOME);
    let mut dropped = Box::pin(subject.pull(&reference));
    let mut kept = Box::pin(subject.pull(&reference));
    if let Either::Left((result, _)) = select(&mut dropped, pin!(gate.until_held(1))).await {
        panic!("the pull ended before it was held: {result:?}");
    }
    assert!(poll_times(kept.as_mut(), 1).await.is_none(), "the other one waits as well");
    drop(dropped);
    gate.release();
    assert_is(&kept.await.unwrap(), &image);
}

/// Polls a future a number of times, each time that it is woken, or to its end.
async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut left = times;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// After how many polls a future is dropped: every point at first, then fewer.
fn points() -> impl Iterator<Item = usize> {
    (1..20).chain((20..200).step_by(15))
}

pub(super) async fn a_pull_dropped_at_any_point_leaves_all_or_nothing(subject: &Subject) {
    for times in points() {
        let image = Image::sample(times as u64);
        let reference = subject.publish("demo", &format!("v{times}"), &image).await;
        let finished = poll_times(pin!(subject.pull(&reference)), times).await;
        let is_listed = subject.list().await.contains(&reference);
        assert!(!is_listed || subject.is_cached(&reference).await, "after {times} polls");
        assert_is(&subject.pull(&reference).await.unwrap(), &image);
        if finished.is_some() {
            break;
        }
    }
}

pub(super) async fn a_force_pull_dropped_at_any_point_leaves_the_old_image(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    for times in points() {
        let finished = poll_times(pin!(subject.force_pull(&old.reference)), times).await;
        assert!(subject.is_cached(&old.reference).await, "after {times} polls");
        assert_is(&old, &image);
        if finished.is_some() {
            break;
        }
    }
}

pub(super) async fn a_pull_and_a_remove_at_once_leave_all_or_nothing(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    for _ in 0..8 {
        let (pulled, removed) = join(subject.pull(&reference), subject.remove(&reference)).await;
        let (pulled, _) = (pulled.unwrap(), removed.unwrap());
        assert_eq!(pulled.digest, image.digest().to_string());
        if subject.is_cached(&reference).await {
            assert_is(&subject.pull(&reference).await.unwrap(), &image);
        }
    }
}

pub(super) async fn an_image_stays_whole_while_it_is_pulled_anew(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    // Tasks of their own: a registry may make `is_cached` wait for them, so they must not wait for it.
    let anew: Vec<_> = (0..4).map(|_| force_pull_apart(subject, &old.reference)).collect();
    while !anew.iter().all(JoinHandle::is_finished) {
        assert_is(&old, &image);
        assert!(subject.is_cached(&old.reference).await, "it never is away");
        tokio::task::yield_now().await;
    }
    for pull in anew {
        pull.await.expect("no pull panics").expect("the origin has it");
    }
    assert_is(&old, &image);
}

fn force_pull_apart(subject: &Subject, reference: &str) -> JoinHandle<Result<PulledImage>> {
    let (registry, reference) = (Arc::clone(subject.registry()), reference.to_owned());
    tokio::spawn(async move { registry.force_pull(&reference).await })
}
