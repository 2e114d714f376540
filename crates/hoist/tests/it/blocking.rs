//! The front for programs without an async runtime.

use std::thread;

use crate::layout::Layout;
use hoist::{ErrorKind, Hoist, blocking};

fn open(layout: &Layout) -> blocking::Hoist {
    Hoist::builder().config(layout.config()).build_blocking().unwrap()
}

#[test]
fn each_call_returns_when_its_work_is_done() {
    let layout = Layout::with_image();
    let hoist = open(&layout);
    let (image, lease) = hoist.pull_leased("images:v1").unwrap();
    assert_eq!(lease.digest().to_string(), image.digest);
    assert_eq!(hoist.pull("images:v1").unwrap().path, image.path);
    assert_eq!(hoist.force_pull("images:v1").unwrap().path, image.path);
    assert_eq!(hoist.resolve("images:v1").unwrap().unwrap().path, image.path);
    assert!(hoist.is_cached("images:v1") && !hoist.is_cached("images:v0"));
    assert_eq!(hoist.list_cached().unwrap(), [image.reference]);
    assert_eq!(*hoist.pull("images:v0").unwrap_err().kind(), ErrorKind::NotFound);
    let other = hoist.for_platform("windows/arm64".parse().unwrap());
    assert_eq!(other.get_ref().platform().to_string(), "windows/arm64");
}

#[test]
fn many_threads_may_call_at_once() {
    let layout = Layout::with_image();
    let hoist = open(&layout);
    let paths: Vec<_> = thread::scope(|scope| {
        let pulls: Vec<_> = (0..16).map(|_| scope.spawn(|| hoist.pull("images:v1").unwrap().path)).collect();
        pulls.into_iter().map(|pull| pull.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|path| *path == paths[0]));
}

#[tokio::test]
async fn within_an_async_runtime_a_call_fails_and_does_not_panic() {
    let layout = Layout::with_image();
    let hoist = open(&layout);
    let error = hoist.pull("images:v1").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert!(error.report().contains("await"), "{}", error.report());
    assert!(!hoist.is_cached("images:v1"));
    let elsewhere = hoist.clone();
    let image = thread::spawn(move || elsewhere.pull("images:v1").unwrap()).join().unwrap();
    assert!(image.path.exists());
    drop(hoist);
}
