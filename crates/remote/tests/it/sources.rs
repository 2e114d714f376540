//! The suite for sources, on the hosts of a registry.

use std::sync::{Arc, Mutex};

use hoist_fetch::BlobSource;
use hoist_remote::{RemoteOptions, RemoteRegistry};
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::sources::{SourceMaker, Trouble, assert_fetched};
use hoist_testkit::{Blob, Fault, Gate, MockRegistry, On};
use tempfile::TempDir;

/// Makes a mocked registry for each source, and keeps it.
#[derive(Default)]
struct Registries(Mutex<Vec<(MockRegistry, TempDir, Option<Gate>)>>);

#[async_trait::async_trait]
impl SourceMaker for Registries {
    async fn make(&self, blob: &Blob, trouble: Trouble) -> Arc<dyn BlobSource> {
        let (mock, dir) = (MockRegistry::start().await, TempDir::new().unwrap());
        mock.put("demo", None, blob);
        let on = On::Digest(blob.digest.clone());
        let mut gate = None;
        match trouble {
            Trouble::CutOnce => mock.fail_next(1, on, Fault::CutShort),
            Trouble::CutAlways => mock.fail(on, Fault::CutShort),
            Trouble::NoRanges => mock.fail(on, Fault::RangesIgnored),
            Trouble::OtherRange => mock.fail(on, Fault::WrongRange),
            Trouble::Stall(after) => gate = Some(mock.hold_blobs(after)),
            Trouble::BusyOnce => mock.fail_next(1, on, Fault::TooManyRequests("0".into())),
            Trouble::Lie => mock.fail(on, Fault::FlippedBit),
            Trouble::Dead => mock.fail(on, Fault::HangUp),
            Trouble::Lacking => mock.fail(on, Fault::Status(404)),
            _ => {}
        }
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(dir.path().join("store"), options).unwrap();
        let registry = RemoteRegistry::new(store).with_options(RemoteOptions::without_hosts_dirs);
        let sources = registry.sources(&format!("{}/demo", mock.host())).unwrap();
        let (_, source) = sources.iter().next().unwrap();
        let source = source.clone();
        self.0.lock().unwrap().push((mock, dir, gate));
        source
    }
}

#[tokio::test]
async fn hosts_of_a_registry_are_fetched_from_whatever_goes_wrong() {
    assert_fetched(&Registries::default()).await;
}
