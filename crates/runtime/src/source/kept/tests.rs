//! A lease reaches who asked for it, whatever happens between the source and there.

use std::fmt;

use hoist_core::{Descriptor, ImageRegistry, Platform, PulledImage, Result, media_type};
use hoist_store::{GcOptions, Lease, Store, StoreOptions, Trust};

use crate::hoist::Hoist;
use crate::source::backend::{Backend, Leasing};
use crate::source::{Source, SourceContext};

/// A backend that has one image, under every name; it can do nothing but pull it.
#[derive(Debug)]
struct One(Store);

/// A decorator from which every image is removed as soon as it is there.
#[derive(Debug)]
struct Removed<S>(S, Store);

macro_rules! can_only_pull {
    ($($type:ty),+) => {$(
        #[async_trait::async_trait]
        impl ImageRegistry for $type {
            async fn pull(&self, reference: &str) -> Result<PulledImage> {
                self.pull_it(reference).await
            }
            async fn force_pull(&self, _: &str) -> Result<PulledImage> {
                unimplemented!()
            }
            async fn is_cached(&self, _: &str) -> bool {
                unimplemented!()
            }
            async fn remove(&self, _: &str) -> Result<bool> {
                unimplemented!()
            }
            async fn list_cached(&self) -> Result<Vec<String>> {
                unimplemented!()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($type))
            }
        }
    )+};
}

can_only_pull!(One, Removed<Leasing<One>>);

impl One {
    async fn pull_it(&self, reference: &str) -> Result<PulledImage> {
        self.pull_leased(reference).await.map(|(image, _)| image)
    }
}

impl<S: ImageRegistry> Removed<S> {
    async fn pull_it(&self, reference: &str) -> Result<PulledImage> {
        let image = self.0.pull(reference).await?;
        self.1.remove(&reference.parse()?, &Platform::host())?;
        self.1.gc(GcOptions::default().with_all(true))?;
        Ok(image)
    }
}

#[async_trait::async_trait]
impl Backend for One {
    async fn resolve(&self, _: &str) -> Result<Option<PulledImage>> {
        unimplemented!()
    }

    async fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)> {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] });
        let manifest = manifest.to_string().into_bytes();
        let entry = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
        let staging = self.0.stage(Trust::Pool)?;
        staging.put(&config, b"{}".to_vec()).await?;
        staging.put(&entry, manifest).await?;
        let lease = staging.commit(entry).await?;
        Ok((self.0.name(&reference.parse()?, &Platform::host(), &lease, None)?.into(), lease))
    }

    fn for_platform(&self, _: &Platform) -> Self {
        Self(self.0.clone())
    }
}

#[async_trait::async_trait]
impl Source for Removed<Leasing<One>> {
    async fn resolve(&self, _: &str) -> Result<Option<PulledImage>> {
        unimplemented!()
    }

    fn for_platform(&self, _: &Platform) -> Box<dyn Source> {
        unimplemented!()
    }
}

/// A store, and a stack from which everything is removed at once; in front of it, whatever the configuration says.
fn stack(config: &crate::Config) -> (tempfile::TempDir, Hoist) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store"), StoreOptions::default()).unwrap();
    let removed: Box<dyn Source> = Box::new(Removed(Leasing(One(store.clone())), store.clone()));
    let context = SourceContext {
        store: store.clone(),
        platform: Platform::host(),
        events: hoist_core::Events::default(),
    };
    let stack = crate::source::decorate(removed, config, &context).unwrap();
    let lookup = crate::lookup::Lookup::default();
    (dir, Hoist::new(stack, lookup, store, Platform::host(), hoist_core::Events::default()))
}

#[tokio::test]
async fn what_is_removed_before_the_pull_returns_is_there_as_long_as_it_is_leased() {
    for config in [crate::Config::default(), crate::Config::default().without_cache()] {
        let (_dir, hoist) = stack(&config);
        let (image, lease) = hoist.pull_leased("demo").await.unwrap();
        assert_eq!(lease.digest().to_string(), image.digest, "{hoist}");
        assert!(image.path.join("index.json").exists(), "{hoist}");
    }
}

#[tokio::test]
async fn what_is_pulled_without_a_lease_may_be_removed_at_once() {
    let (_dir, hoist) = stack(&crate::Config::default().without_cache());
    let image = hoist.pull("demo").await.unwrap();
    assert!(!image.path.exists());
}
