//! A stack, said piece by piece.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_core::{Admission, Events, ImageRegistry, Platform, Result};
use hoist_store::{Access, Durability, Store, StoreOptions};

use crate::config::{CachePolicy, Config, RemoteClient};
use crate::hoist::Hoist;
use crate::lookup::Lookup;
use crate::secret::Secret;
use crate::source::{self, Make, SourceContext};

/// What is to be stacked. What is not said is as in [`Config::default`]: registries are asked, and the store
/// answers first, as far as that is compiled in.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let (store, images) = (dir.path().join("store"), dir.path().join("images"));
/// # std::fs::create_dir_all(images.join("blobs/sha256")).unwrap();
/// # std::fs::write(images.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
/// # std::fs::write(images.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
/// use hoist::Hoist;
///
/// # #[cfg(all(feature = "cache", feature = "local", feature = "remote"))] {
/// let hoist = Hoist::builder()
///     .store(store)
///     .max_size(20 << 30)
///     .local(&images)
///     .credentials("ghcr.io", "jo", "...")
///     .build()?;
/// assert_eq!(hoist.to_string(), format!("cached(fallback(local({}), remote))", images.display()));
/// # }
/// # Ok::<(), hoist::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a stack is made by `build`"]
pub struct Builder {
    config: Config,
    opened: Option<Store>,
    events: Events,
    own: Vec<Make>,
    admissions: Vec<Arc<dyn Admission>>,
}

impl Builder {
    /// Starts from this configuration, in place of all that was said before of what it speaks of.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Keeps the store in this directory.
    pub fn store(self, root: impl Into<PathBuf>) -> Self {
        self.with(|config| config.with_root(root))
    }

    /// Uses a store that is open already, with its own options: those of the configuration are not looked at, but for
    /// what it [admits](Self::admission), which this stack asks beside what the store has. What it evicts it goes on to [report](Store::report_to) where it did.
    pub fn opened_store(self, store: Store) -> Self {
        Self { opened: Some(store), ..self }
    }

    /// Keeps the store to so many bytes of the disk.
    pub fn max_size(self, bytes: u64) -> Self {
        self.with(|config| config.with_max_size(bytes))
    }

    /// Chooses whether what is stored survives a power cut.
    pub fn durability(self, durability: Durability) -> Self {
        self.with(|config| config.with_durability(durability))
    }

    /// Chooses images for this platform.
    pub fn platform(self, platform: Platform) -> Self {
        self.with(|config| config.with_platform(platform))
    }

    /// Looks into this directory, which holds an OCI image layout, before anything else is asked.
    pub fn local(self, path: impl Into<PathBuf>) -> Self {
        self.with(|config| config.with_local(path))
    }

    /// Asks a registry of one's own for what the directory does not have, and before any registry over HTTP;
    /// several are asked in the order in which they were said.
    ///
    /// It is made when the stack is built, and once more for each [other platform](Hoist::for_platform).
    /// `examples/custom_backend.rs` has one.
    pub fn source<R: ImageRegistry + fmt::Display + 'static>(
        mut self,
        make: impl Fn(&SourceContext) -> R + Send + Sync + 'static,
    ) -> Self {
        self.own.push(Arc::new(move |context| Box::new(make(context))));
        self
    }

    /// Asks registries over HTTP. [`Config`] has more to say of how.
    pub fn remote(self) -> Self {
        self.with(Config::with_remote)
    }

    /// Asks registries by this client. The other one than hoist's own is for a second opinion, and takes the feature
    /// `distribution`.
    pub fn client(self, client: RemoteClient) -> Self {
        self.with(|config| config.with_client(client))
    }

    /// Asks this mirror (`https://mirror.lan`) before this registry (`docker.io`), and after the mirrors that were
    /// named before.
    pub fn mirror(self, registry: impl Into<String>, mirror: impl Into<String>) -> Self {
        self.with(|config| config.with_mirror(registry, mirror))
    }

    /// Asks no registry over HTTP.
    pub fn without_remote(self) -> Self {
        self.with(Config::without_remote)
    }

    /// Shows these credentials to this registry: `host` or `host:port`.
    pub fn credentials(
        self,
        registry: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        self.with(|config| config.with_credentials(registry, username, password))
    }

    /// Asks no registry over HTTP: what is not here is [`Unavailable`](crate::ErrorKind::Unavailable).
    pub fn offline(self) -> Self {
        self.with(Config::with_offline)
    }

    /// Lets the store answer by this policy, as far as that goes without asking. [`Config`] has more to say of how.
    pub fn cache(self, policy: CachePolicy) -> Self {
        self.with(|config| config.with_cache().with_policy(policy))
    }

    /// Asks the sources each time.
    pub fn without_cache(self) -> Self {
        self.with(Config::without_cache)
    }

    /// Fetches so many images at once, for each platform; who comes later waits for a turn, and what is here for nobody.
    pub fn max_pulls(self, pulls: NonZeroUsize) -> Self {
        self.with(|config| config.with_max_pulls(pulls))
    }

    /// Makes each call a `tracing` span; with the feature `metrics`, what is done is counted as well.
    pub fn observe(self) -> Self {
        self.with(Config::with_observe)
    }

    /// Reports the progress of pulls, each with one beginning and one end, and what is evicted.
    pub fn events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Hands out only what this admits, such as a check of signatures, and only what all do that were given before and
    /// the configuration does, if it says: [`AdmissionConfig`](crate::AdmissionConfig). It is asked on every way that an
    /// image is handed out: when it is pulled, and also where it is here already, whoever has put it there.
    pub fn admission(mut self, admission: impl Admission + 'static) -> Self {
        self.admissions.push(Arc::new(admission));
        self
    }

    /// Opens the store, and stacks what was said on it.
    ///
    /// Fails as [`open`](crate::open) does.
    pub fn build(self) -> Result<Hoist> {
        let Self { config, opened, events, own, admissions } = self;
        config.check()?;
        source::check(&config, &own)?;
        let platform = config.platform.clone().unwrap_or_else(Platform::host);
        let events = source::counted(&config, events);
        let store = match opened {
            Some(store) => store,
            None => open_store(&config, &events)?,
        };
        let store = config.admission.rules().into_iter().chain(admissions).fold(store, Store::with_admission);
        // Each pull has one beginning and one end, however many sources are asked in it.
        let context = SourceContext { store, platform, events: events.within() };
        let lookup = Lookup::new(&config, &context)?;
        let stack = source::stack(&config, &own, lookup.get(), &context)?;
        Ok(Hoist::new(stack, lookup, context.store, context.platform, events))
    }

    fn with(self, change: impl FnOnce(Config) -> Config) -> Self {
        Self { config: change(self.config), ..self }
    }
}

fn open_store(config: &Config, events: &Events) -> Result<Store> {
    let mut options = StoreOptions::default().with_durability(config.durability);
    options.max_size = config.max_size;
    if let Some(group) = config.access_group {
        options = options.with_access(Access::Group(group));
    }
    let store = Store::open(&config.root, options)?;
    store.report_to(events.clone());
    Ok(store)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("own", &self.own.len())
            .field("admissions", &self.admissions.len())
            .finish_non_exhaustive()
    }
}
