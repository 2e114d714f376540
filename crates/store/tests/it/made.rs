//! Content that is made from an image: once, by one of those that ask for it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use hoist_store::{Derived, DerivedClaim, Lease, Store, Verify};
use tempfile::TempDir;

use crate::support::{fill, image, open};

async fn leased(store: &Store) -> Lease {
    let (image, staging) = (image(b"layer"), store.stage(Verify::Cached).unwrap());
    fill(&staging, &image).await;
    staging.commit(image.manifest).await.unwrap()
}

async fn claim(store: &Store, image: &Lease) -> DerivedClaim {
    store.claim_derived(image, "kind", "name", "file").await.unwrap()
}

async fn to_make(store: &Store, image: &Lease) -> Derived {
    match claim(store, image).await {
        DerivedClaim::Make(derived) => derived,
        DerivedClaim::Present(path) => panic!("{} is there", path.display()),
    }
}

#[tokio::test]
async fn published_content_is_found_and_is_read_only() {
    let temp = TempDir::new().unwrap();
    let store = open(&temp);
    let image = leased(&store).await;
    assert_eq!(store.derived(&image, "kind", "name", "file").unwrap(), None);
    let derived = to_make(&store, &image).await;
    let mut file = derived.create().unwrap();
    file.write_all(b"content").unwrap();
    let path = derived.publish(&file, false).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(store.derived(&image, "kind", "name", "file").unwrap(), Some(path.clone()));
    assert!(matches!(claim(&store, &image).await, DerivedClaim::Present(found) if found == path));
}

#[tokio::test]
async fn private_content_can_be_read_by_its_owner_only() {
    let temp = TempDir::new().unwrap();
    let store = open(&temp);
    let image = leased(&store).await;
    let derived = to_make(&store, &image).await;
    let file = derived.create().unwrap();
    let path = derived.publish(&file, true).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o400);
}

#[tokio::test]
async fn another_store_handle_waits_until_the_maker_is_done_or_gives_up() {
    let temp = TempDir::new().unwrap();
    let (store, other) = (open(&temp), open(&temp));
    let image = leased(&store).await;
    let given_up = to_make(&store, &image).await;
    let mut waiting = std::pin::pin!(claim(&other, &image));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(given_up);
    let DerivedClaim::Make(derived) = waiting.await else { panic!("nothing was made") };
    let mut waiting = std::pin::pin!(claim(&store, &image));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let file = derived.create().unwrap();
    let path = derived.publish(&file, false).unwrap();
    assert!(matches!(waiting.await, DerivedClaim::Present(found) if found == path));
}

#[tokio::test]
async fn what_was_not_published_is_removed() {
    let temp = TempDir::new().unwrap();
    let store = open(&temp);
    let image = leased(&store).await;
    let derived = to_make(&store, &image).await;
    let (scratch, file) = (derived.scratch().to_owned(), derived.create().unwrap());
    drop((file, derived));
    assert!(!scratch.exists());
}

#[tokio::test]
async fn a_dropped_call_publishes_nothing() {
    let temp = TempDir::new().unwrap();
    let store = open(&temp);
    let image = leased(&store).await;
    let (handle, call) = store.call();
    let derived = to_make(&handle, &image).await;
    let file = derived.create().unwrap();
    drop(call);
    assert!(derived.publish(&file, false).is_err());
    assert_eq!(store.derived(&image, "kind", "name", "file").unwrap(), None);
}
