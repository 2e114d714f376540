//! A lease reaches whoever asked for it, whatever happens between the source and there.

use std::fmt;
use std::sync::Arc;

use crate::layout::Layout;
use hoist::{
    Error, ErrorKind, GcOptions, Hoist, ImageRegistry, LocalRegistry, PulledImage, Result, SourceContext,
};

/// A program's own decorator, which works in a task of its own, and from which every image is removed as soon as it is
/// there: it knows of leases no more than the trait does.
struct Removed(Arc<LocalRegistry>, SourceContext);

impl Removed {
    async fn pull_and_remove(&self, reference: &str, forced: bool) -> Result<PulledImage> {
        let (inner, context, reference) = (self.0.clone(), self.1.clone(), reference.to_owned());
        let task = tokio::spawn(async move {
            let image =
                if forced { inner.force_pull(&reference).await? } else { inner.pull(&reference).await? };
            context.store.remove(&reference.parse()?, &context.platform)?;
            context.store.gc(GcOptions::default().with_all(true))?;
            Ok(image)
        });
        task.await.map_err(|broken| Error::new(ErrorKind::Storage, broken))?
    }
}

#[async_trait::async_trait]
impl ImageRegistry for Removed {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_and_remove(reference, false).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_and_remove(reference, true).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.0.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.0.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.0.list_cached().await
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed({})", self.0)
    }
}

/// Stacks over a directory with these tags from which everything is removed at once.
fn stacks(dir: &Layout) -> Vec<Hoist> {
    let configs = [dir.store_only().without_cache(), dir.store_only()];
    let configs = &configs[..if cfg!(feature = "cache") { 2 } else { 1 }];
    let open = |config: &hoist::Config| {
        let images = dir.images();
        let builder = Hoist::builder().config(config.clone().without_remote()).source(move |context| {
            let local = LocalRegistry::open(&images, context.store.clone()).unwrap();
            Removed(Arc::new(local.with_platform(context.platform.clone())), context.clone())
        });
        builder.build().unwrap()
    };
    configs.iter().map(open).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_before_the_pull_returns_is_there_as_long_as_it_is_leased() {
    let dir = Layout::with_image();
    for hoist in stacks(&dir) {
        let (image, lease) = hoist.pull_leased("images:v1").await.unwrap();
        assert_eq!(lease.digest().to_string(), image.digest, "{hoist}");
        assert!(image.path.join("index.json").exists(), "{hoist}");
        drop(lease);
        hoist.store().gc(GcOptions::default().with_all(true)).unwrap();
        assert!(hoist.is_cached("images:v1").await || !image.path.exists(), "{hoist}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_want_leases_at_once_get_their_own() {
    let dir = Layout::with_images(&["v1", "v2"]);
    for hoist in stacks(&dir) {
        let other = hoist.clone();
        let (one, other, third) = tokio::join!(
            hoist.pull_leased("images:v1"),
            other.pull_leased("images:v2"),
            hoist.pull_leased("images:v1"),
        );
        let held = [one.unwrap(), other.unwrap(), third.unwrap()];
        for (image, lease) in &held {
            assert_eq!(lease.digest().to_string(), image.digest, "{hoist}");
            hoist.store().gc(GcOptions::default().with_all(true)).unwrap();
            assert!(image.path.join("index.json").exists(), "{hoist}");
        }
        assert_eq!(held[0].0.digest, held[2].0.digest);
        assert_ne!(held[0].0.digest, held[1].0.digest);
    }
}

#[tokio::test]
async fn what_is_pulled_without_a_lease_may_be_removed_at_once() {
    let dir = Layout::with_image();
    let image = stacks(&dir)[0].pull("images:v1").await.unwrap();
    assert!(!image.path.exists());
}
