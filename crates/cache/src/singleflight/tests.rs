use std::future::{Ready, pending, ready};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::poll;
use hoist_core::{Error, ErrorKind};
use tokio::sync::oneshot;

use super::*;

fn no_call() -> Ready<Result<u32>> {
    panic!("there is one to join")
}

#[tokio::test]
async fn calls_that_overlap_share_one_outcome() {
    let (group, (finish, finished)) = (SingleFlight::default(), oneshot::channel());
    let first = group.join("a", || async { Ok(finished.await.unwrap()) });
    let second = group.join("a", no_call);
    let (finish_other, other_finished) = oneshot::channel();
    let other = group.join("b", || async { Ok(other_finished.await.unwrap()) });
    // A new call for another key leaves this one in flight.
    let third = group.join("a", no_call);
    let (first, second, other, third, ()) = tokio::join!(first, second, other, third, async {
        finish.send(1).unwrap();
        finish_other.send(2).unwrap();
    });
    assert_eq!((first.unwrap(), second.unwrap(), third.unwrap(), other.unwrap()), (1, 1, 1, 2));
    assert!(group.lock().calls.is_empty(), "nothing is kept");
}

#[tokio::test]
async fn every_caller_gets_the_failure_and_the_next_call_tries_anew() {
    let (group, (finish, finished)) = (SingleFlight::<_, u32>::default(), oneshot::channel::<Error>());
    let first = group.join("a", || async { Err(finished.await.unwrap()) });
    let second = group.join("a", no_call);
    let (first, second, ()) = tokio::join!(first, second, async {
        finish.send(Error::new(ErrorKind::Unavailable, "broken")).unwrap();
    });
    assert_eq!(*first.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(*second.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(group.join("a", || ready(Ok(3))).await.unwrap(), 3);
}

#[tokio::test]
async fn a_dropped_caller_leaves_the_call_to_the_others() {
    let (group, (finish, finished)) = (SingleFlight::default(), oneshot::channel());
    let mut first = Box::pin(group.join("a", || async { Ok(finished.await.unwrap()) }));
    let mut second = Box::pin(group.join("a", no_call));
    assert!(poll!(first.as_mut()).is_pending() && poll!(second.as_mut()).is_pending());
    drop(first);
    finish.send(2).unwrap();
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test]
async fn a_call_goes_on_though_its_first_caller_is_not_polled() {
    let (group, (finish, finished)) = (SingleFlight::default(), oneshot::channel());
    let mut first = Box::pin(group.join("a", || async { Ok(finished.await.unwrap()) }));
    assert!(poll!(first.as_mut()).is_pending());
    let second = group.join("a", no_call);
    finish.send(2).unwrap();
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test]
async fn the_last_caller_ends_the_call_and_no_other() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (group, gone) = (SingleFlight::default(), Arc::new(AtomicBool::default()));
    let flag = Flag(gone.clone());
    let work = async move {
        let _flag = flag;
        pending::<Result<u32>>().await
    };
    let mut first = Box::pin(group.join("a", || work));
    let mut second = Box::pin(group.join("a", no_call));
    assert!(poll!(first.as_mut()).is_pending() && poll!(second.as_mut()).is_pending());
    drop(first);
    assert!(!gone.load(Ordering::SeqCst));
    drop(second);
    assert!(gone.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_call_that_all_callers_left_is_begun_anew() {
    let group = SingleFlight::default();
    let mut left = Box::pin(group.join("a", pending));
    assert!(poll!(left.as_mut()).is_pending());
    drop(left);
    assert_eq!(group.join("b", || ready(Ok(1))).await.unwrap(), 1);
    assert!(group.lock().calls.is_empty(), "an abandoned call is not kept");
    assert_eq!(group.join("a", || ready(Ok(2))).await.unwrap(), 2);
    assert!(group.lock().calls.is_empty());
}

#[tokio::test]
async fn a_closed_call_is_not_joined_and_still_finishes() {
    let (group, (finish, finished)) = (SingleFlight::default(), oneshot::channel());
    let first = group.join("a", || async { Ok(finished.await.unwrap()) });
    let second = async {
        group.close(&"a");
        let outcome = group.join("a", || ready(Ok(2))).await;
        finish.send(1).unwrap();
        outcome
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
}
