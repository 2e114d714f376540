//! The bound on pulls at once, and that nobody is passed over.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use futures_util::poll;
use hoist_cache::Limited;
use hoist_core::{ImageRegistry, PulledImage, Result};
use tokio::sync::{Mutex, Semaphore};

/// A registry that counts who is in it, and lets nobody out without a permit.
struct Room {
    inside: AtomicUsize,
    most: AtomicUsize,
    door: Semaphore,
    /// Who came in, in order.
    came: Mutex<Vec<String>>,
}

impl Room {
    fn new() -> Self {
        Self { inside: 0.into(), most: 0.into(), door: Semaphore::new(0), came: Mutex::default() }
    }

    async fn stay(&self, reference: &str) -> Result<PulledImage> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.came.lock().await.push(reference.to_owned());
        self.door.acquire().await.unwrap().forget();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(PulledImage { path: "/".into(), digest: String::new(), reference: reference.to_owned() })
    }
}

#[async_trait::async_trait]
impl ImageRegistry for Room {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.stay(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.stay(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        reference == "here"
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        Ok(reference == "here")
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(vec!["all".to_owned()])
    }
}

#[tokio::test]
async fn no_more_than_so_many_pull_at_once_of_either_kind() {
    let limited = Limited::new(3, Room::new());
    let pulls = (0..10).map(|number| {
        let limited = &limited;
        async move {
            match number % 2 {
                0 => limited.pull("even").await.unwrap().reference,
                _ => limited.force_pull("odd").await.unwrap().reference,
            }
        }
    });
    let open = async {
        while limited.get_ref().inside.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        limited.get_ref().door.add_permits(10);
    };
    let (answers, ()) = tokio::join!(join_all(pulls), open);
    assert_eq!(answers.len(), 10);
    assert_eq!(limited.get_ref().most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn who_comes_first_is_first() {
    let limited = Limited::new(1, Room::new());
    let names: Vec<String> = (0..5).map(|number| number.to_string()).collect();
    limited.get_ref().door.add_permits(5);
    join_all(names.iter().map(|name| limited.pull(name))).await;
    assert_eq!(*limited.get_ref().came.lock().await, names);
}

#[tokio::test]
async fn who_is_not_polled_any_more_keeps_nobody_from_a_place() {
    let limited = Limited::new(1, Room::new());
    limited.get_ref().door.add_permits(3);
    let mut held = Box::pin(limited.pull("held"));
    let mut next = Box::pin(limited.pull("next"));
    assert!(poll!(held.as_mut()).is_pending());
    assert!(poll!(next.as_mut()).is_pending());
    limited.pull("last").await.unwrap();
    assert_eq!(*limited.get_ref().came.lock().await, ["held", "next", "last"]);
}

#[tokio::test]
async fn who_is_dropped_gives_up_the_place_and_the_turn() {
    let limited = Limited::new(1, Room::new());
    let mut inside = Box::pin(limited.pull("inside"));
    let mut next = Box::pin(limited.pull("next"));
    let mut last = Box::pin(limited.pull("last"));
    assert!(poll!(inside.as_mut()).is_pending());
    assert!(poll!(next.as_mut()).is_pending());
    assert!(poll!(last.as_mut()).is_pending());
    drop(next);
    drop(inside);
    limited.get_ref().door.add_permits(1);
    last.await.unwrap();
}

#[tokio::test]
async fn all_else_waits_for_nobody() {
    let limited = Limited::new(1, Room::new());
    let mut inside = Box::pin(limited.pull("inside"));
    assert!(poll!(inside.as_mut()).is_pending());
    for (name, is_here) in [("here", true), ("gone", false)] {
        assert_eq!(limited.is_cached(name).await, is_here);
        assert_eq!(limited.remove(name).await.unwrap(), is_here);
    }
    assert_eq!(limited.list_cached().await.unwrap(), ["all"]);
}

#[tokio::test]
async fn a_bound_of_none_is_a_bound_of_one() {
    let limited = Limited::new(0, Room::new());
    limited.get_ref().door.add_permits(1);
    limited.pull("demo").await.unwrap();
}
