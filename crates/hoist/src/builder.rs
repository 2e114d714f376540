//! The builder of a stack, and the functions that open one from a configuration.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_core::{Admission, Events, ImageRegistry, Platform, RemoteOptions, Result};
use hoist_store::{Access, Durability, Store, StoreOptions};

use crate::backend::{self, Make, SourceContext};
use crate::config::{CachePolicy, Config, RemoteClient};
use crate::hoist::Hoist;
use crate::lookup::Lookup;

/// Builds a stack. Options that are not set are as in [`Config::default`]: the store answers first, and then the
/// registries, as far as both are compiled in.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let (store, images) = (dir.path().join("store"), dir.path().join("images"));
/// # std::fs::create_dir_all(images.join("blobs/sha256")).unwrap();
/// # std::fs::write(images.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
/// # std::fs::write(images.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
/// use hoist::{Credentials, Hoist};
///
/// # #[cfg(all(feature = "cache", feature = "local", feature = "remote"))] {
/// let hoist = Hoist::builder()
///     .store(store)
///     .max_size(20 << 30)
///     .local(&images)
///     .remote_options(|options| options.with_credentials("ghcr.io", Credentials::basic("jo", "...")))
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

/// Opens the store, and stacks the backends that the configuration enables on it.
///
/// Fails with [`InvalidConfig`](crate::ErrorKind::InvalidConfig) where that contradicts itself, or enables no source;
/// with [`Unsupported`](crate::ErrorKind::Unsupported) where it needs a feature that is not compiled in; and as
/// [`Store::open`] does.
pub fn open(config: &Config) -> Result<Hoist> {
    Hoist::builder().config(config.clone()).build()
}

/// As [`open`], with the progress of each pull reported: one beginning and one end, however many sources are asked
/// in between.
pub fn open_with_events(config: &Config, events: Events) -> Result<Hoist> {
    Hoist::builder().config(config.clone()).events(events).build()
}

impl Hoist {
    /// Starts a stack from the default configuration.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Uses this configuration, which replaces all options that were set before and that it covers.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Keeps the store in this directory.
    pub fn store(self, root: impl Into<PathBuf>) -> Self {
        self.with(|config| config.with_root(root))
    }

    /// Uses an open store, with its own options. Of the configuration's options for the store, only the
    /// [admission](Self::admission) applies, in addition to the store's own. The store goes on to
    /// [report](Store::report_to) evictions where it did before.
    pub fn opened_store(self, store: Store) -> Self {
        Self { opened: Some(store), ..self }
    }

    /// Limits the store to this size on the disk.
    pub fn max_size(self, bytes: u64) -> Self {
        self.with(|config| config.with_max_size(bytes))
    }

    /// Chooses whether stored images survive a power cut.
    pub fn durability(self, durability: Durability) -> Self {
        self.with(|config| config.with_durability(durability))
    }

    /// Chooses images for this platform.
    pub fn platform(self, platform: Platform) -> Self {
        self.with(|config| config.with_platform(platform))
    }

    /// Looks into this directory, which holds an OCI image layout, before any other source.
    pub fn local(self, path: impl Into<PathBuf>) -> Self {
        self.with(|config| config.with_local(path))
    }

    /// Adds a registry that the program implements. It gets the references that the directory does not have, before any
    /// registry over HTTP. Several are tried in the order in which they were added.
    ///
    /// `make` is called when the stack is built, and once more for each [other platform](Hoist::for_platform).
    /// `examples/custom_backend.rs` has one.
    pub fn source<R: ImageRegistry + fmt::Display + 'static>(
        mut self,
        make: impl Fn(&SourceContext) -> R + Send + Sync + 'static,
    ) -> Self {
        self.own.push(Arc::new(move |context| Box::new(make(context))));
        self
    }

    /// Enables registries over HTTP.
    pub fn remote(self) -> Self {
        self.with(Config::with_remote)
    }

    /// Talks to registries through this client. Any client but hoist's own needs the feature `distribution`.
    pub fn client(self, client: RemoteClient) -> Self {
        self.with(|config| config.with_client(client))
    }

    /// Disables registries over HTTP.
    pub fn without_remote(self) -> Self {
        self.with(Config::without_remote)
    }

    /// Changes the options for registries over HTTP: mirrors, credentials, time limits and so on.
    pub fn remote_options(self, change: impl FnOnce(RemoteOptions) -> RemoteOptions) -> Self {
        self.with(|config| config.with_remote_options(change))
    }

    /// Disables registries over HTTP: an image that is not on the disk is
    /// [`Unavailable`](crate::ErrorKind::Unavailable).
    pub fn offline(self) -> Self {
        self.with(Config::with_offline)
    }

    /// Lets the store answer by this policy. [`Config`] has more options for the cache.
    pub fn cache(self, policy: CachePolicy) -> Self {
        self.with(|config| config.with_cache().with_policy(policy))
    }

    /// Pulls from the sources each time.
    pub fn without_cache(self) -> Self {
        self.with(Config::without_cache)
    }

    /// Sets the maximum number of images that are fetched at once, for each platform. Further pulls wait for their
    /// turn; a pull of an image in the store never waits.
    pub fn max_pulls(self, pulls: NonZeroUsize) -> Self {
        self.with(|config| config.with_max_pulls(pulls))
    }

    /// Makes each call a `tracing` span, and with the feature `metrics` counts pulls, bytes, hits and evictions.
    pub fn observe(self) -> Self {
        self.with(Config::with_observe)
    }

    /// Reports the progress of pulls, each with one beginning and one end, and evictions.
    pub fn events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Hands out only images that this admits, such as a check of signatures. It applies in addition to the admissions
    /// that were added before, and to those of [`AdmissionConfig`](crate::AdmissionConfig). Every image passes it
    /// before it is handed out: images that are pulled now, and images that the store already has.
    pub fn admission(mut self, admission: impl Admission + 'static) -> Self {
        self.admissions.push(Arc::new(admission));
        self
    }

    /// Opens the store, and stacks the backends on it.
    ///
    /// Fails as [`open`](crate::open) does.
    pub fn build(self) -> Result<Hoist> {
        let Self { config, opened, events, own, admissions } = self;
        config.check()?;
        backend::check(&config, &own)?;
        let platform = config.platform.clone().unwrap_or_else(Platform::host);
        let events = backend::counted(&config, events);
        let store = match opened {
            Some(store) => store,
            None => open_store(&config, &events)?,
        };
        let store = config.admission.rules().into_iter().chain(admissions).fold(store, Store::with_admission);
        // Each pull has one beginning and one end, however many backends take part in it.
        let context = SourceContext { store, platform, events: events.within() };
        let lookup = Lookup::new(&config, &context)?;
        let stack = backend::stack(&config, &own, lookup.get(), &context)?;
        Ok(Hoist::new(stack, lookup, context.store, context.platform, events))
    }

    fn with(self, change: impl FnOnce(Config) -> Config) -> Self {
        Self { config: change(self.config), ..self }
    }
}

fn open_store(config: &Config, events: &Events) -> Result<Store> {
    let mut options = StoreOptions::default()
        .with_durability(config.durability)
        .with_network_file_system(config.allow_network_file_system);
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
