//! A store's own directory: how it is made, who may look into it, and what is not followed out of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use hoist_core::ErrorKind;
use hoist_store::{Access, Claim, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{image, open, platform, pull, reference, tree};

#[tokio::test]
async fn a_directory_that_was_moved_is_not_found_by_a_symlink() {
    for is_inside in [true, false] {
        for moved in ["blobs", "images", "refs", "names", "ingest", "staging", "quarantine", "derived"] {
            let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let store = open(&dir);
            pull(&store, &image(b"layer"), "demo").await;
            let from = store.root().join(moved);
            let to = if is_inside { store.root().join("moved") } else { outside.path().join("moved") };
            fs::create_dir_all(&from).unwrap();
            fs::rename(&from, &to).unwrap();
            symlink(if is_inside { Path::new("moved") } else { &to }, &from).unwrap();
            let error = store.usage().unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Storage, "{moved}: {}", error.report());
        }
    }
}

#[tokio::test]
async fn a_symlink_in_the_store_leads_nowhere() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for planted in ["blobs", "images", "refs", "names", "ingest", "staging"] {
        let root = dir.path().join(planted);
        let store = Store::open(&root, StoreOptions::default()).unwrap();
        _ = fs::remove_dir(root.join(planted));
        symlink(outside.path(), root.join(planted)).unwrap();
        let image = image(b"layer");
        let outcome = async {
            let staging = store.stage(Verify::Cached)?;
            for (descriptor, bytes) in &image.blobs {
                if let Claim::Fetch(ingest) = staging.claim(descriptor).await? {
                    ingest.write(0, Bytes::copy_from_slice(bytes)).await?;
                    ingest.commit().await?;
                }
            }
            staging.put(&image.manifest, image.bytes.clone()).await?;
            let lease = staging.commit(image.manifest.clone()).await?;
            store.name(&reference("demo"), &platform(), &lease, None)
        };
        assert_eq!(*outcome.await.unwrap_err().kind(), ErrorKind::Storage, "{planted}");
        assert_eq!(tree(outside.path()), Vec::<String>::new(), "{planted}");
    }
}

#[test]
fn a_store_is_private_and_is_only_made_of_an_empty_directory() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("letter"), "dear").unwrap();
    let error = Store::open(&home, StoreOptions::default()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage);
    assert_eq!(tree(&home).len(), 1, "it was left as it was");
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let dir = TempDir::new().unwrap();
    let root = open(&dir).root().to_owned();
    let file = root.join("store.json");
    fs::remove_file(&file).unwrap();
    fs::write(&file, r#"{"format":3}"#).unwrap();
    let error = Store::open(&root, StoreOptions::default()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_group_is_let_in_to_read_and_stays_so() {
    let dir = TempDir::new().unwrap();
    // Root may choose any; others have to be in it.
    let (own, is_root) = (fs::metadata(dir.path()).unwrap().gid(), rustix::process::geteuid().is_root());
    let group = if is_root { own + 1 } else { own };
    let root = dir.path().join("store");
    let mode = || fs::metadata(&root).unwrap().permissions().mode() & 0o777;
    Store::open(&root, StoreOptions::default()).unwrap();
    assert_eq!(mode(), 0o700);
    Store::open(&root, StoreOptions::default().with_access(Access::Group(group))).unwrap();
    assert_eq!((mode(), fs::metadata(&root).unwrap().gid()), (0o750, group));
    Store::open(&root, StoreOptions::default()).unwrap();
    assert_eq!(mode(), 0o750, "who opens it without saying so takes nothing from others");
}

#[test]
fn a_new_store_is_opened_by_many_at_once_and_only_its_own_directory_is_private() {
    let dir = TempDir::new().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::create_dir(dir.path().join("usual")).unwrap();
    for round in 0..20 {
        let parent = dir.path().join(round.to_string()).join("parent");
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    Store::open(parent.join("store"), StoreOptions::default()).unwrap();
                });
            }
        });
        assert_eq!(mode(&parent), mode(&dir.path().join("usual")));
        assert_eq!(mode(&parent.join("store")), 0o700);
    }
}

#[test]
fn a_store_is_made_of_a_directory_that_is_there_and_of_one_that_was_begun() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("store");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(root.join("staging")).unwrap(); // a process died here
    let store = open(&dir);
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    store.limit_to(Some(1));
    assert_eq!(store.options().max_size, Some(1));
    let error = Store::open(root.join("store.json/store"), StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("cannot create"), "{error}");
}
