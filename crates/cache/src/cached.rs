//! A cache in front of any registry: a store that answers by reference, without asking.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hoist_core::{Error, ErrorKind, Event, Events, ImageRegistry, Platform, PulledImage, Reference, Result};
use hoist_store::{Store, StoredImage, Trust, owned};

use crate::absences::Absences;
use crate::policy::Policy;
use crate::singleflight::SingleFlight;

/// How often a pull begins anew because its image was removed from under it, or its name was given to a later one. More
/// often than this, somebody does so on purpose.
const ATTEMPTS: usize = 3;

/// A registry whose images are kept in a store, from which [`pull`](ImageRegistry::pull) is answered without
/// asking the registry within, as far as its [`Policy`] goes.
///
/// What is cached is what the store has for this cache's platform: `is_cached`, `list_cached` and `remove`
/// never reach into the registry within. Equal pulls that overlap are one pull. Where the registry within
/// keeps its images in this very store, nothing is copied; else an image is copied and hashed on the way.
///
/// Which platform the images are for must be told to both: the cache does not keep one that is made for
/// another.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use hoist_cache::{Cached, Policy};
/// use hoist_core::ImageRegistry;
/// use hoist_store::Store;
///
/// /// Any registry, asked at most once an hour about a tag.
/// fn hourly<R: ImageRegistry>(registry: R, store: Store) -> Cached<R> {
///     Cached::new(registry, store).with_policy(Policy::NewerThan(Duration::from_hours(1))).with_stale(true)
/// }
/// ```
///
/// A failure is not remembered, unless [that is asked for](Self::with_not_found_kept_for); and nothing that
/// fails takes away what was here.
#[derive(Debug)]
pub struct Cached<R>(Cache<R>);

/// What a cache is made of, which its flights have as well. Clones share all but the options.
#[derive(Debug)]
pub(crate) struct Cache<R> {
    inner: Arc<R>,
    pub(crate) store: Store,
    pub(crate) platform: Platform,
    pub(crate) policy: Policy,
    serves_stale: bool,
    pub(crate) events: Events,
    absences: Arc<Absences>,
    /// Those of this cache only: whoever shares a pull asks with the same credentials, for the same platform.
    flights: SingleFlight<Reference, PulledImage>,
}

impl<R> Clone for Cache<R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            store: self.store.clone(),
            platform: self.platform.clone(),
            policy: self.policy,
            serves_stale: self.serves_stale,
            events: self.events.clone(),
            absences: self.absences.clone(),
            flights: self.flights.clone(),
        }
    }
}

impl<R> Cached<R> {
    /// Keeps what this registry pulls in this store: for the host's platform.
    pub fn new(inner: R, store: Store) -> Self {
        Self(Cache {
            inner: Arc::new(inner),
            store,
            platform: Platform::host(),
            policy: Policy::default(),
            serves_stale: false,
            events: Events::default(),
            absences: Arc::default(),
            flights: SingleFlight::default(),
        })
    }

    /// Keeps images for this platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self(Cache { platform, ..self.0 })
    }

    /// Asks, or does not ask, the registry within by this policy; [`IfNotPresent`](Policy::IfNotPresent) unless it
    /// is said otherwise.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self(Cache { policy, ..self.0 })
    }

    /// Answers a pull with the image that is here, however old, where the registry within had to be asked and
    /// could not be reached, or asks to come back later ([`Error::is_transient`]). It is told with
    /// [`Event::ServedStale`] and a warning in the log. A [`force_pull`](ImageRegistry::force_pull) fails all the same.
    #[must_use]
    pub fn with_stale(self, serves_stale: bool) -> Self {
        Self(Cache { serves_stale, ..self.0 })
    }

    /// Answers [`NotFound`](ErrorKind::NotFound) for so long without asking again where the registry within has said
    /// so. Not at all by default: who has just pushed an image wants to see it. A
    /// [`force_pull`](ImageRegistry::force_pull) asks, and ends it. It is kept in memory only, for up to 1,000 references.
    #[must_use]
    pub fn with_not_found_kept_for(self, time: Duration) -> Self {
        Self(Cache { absences: Arc::new(Absences::kept_for(time)), ..self.0 })
    }

    /// Keeps the store to so many bytes of disk space, whoever pulls into it in this process: as
    /// [`Store::limit_to`] does. The images that were not used for the longest time go first, and none that is leased.
    #[must_use]
    pub fn with_max_size(self, bytes: u64) -> Self {
        self.0.store.limit_to(Some(bytes));
        self
    }

    /// Reports the pulls that are answered from the store, and what is copied into it; all else is the registry's to
    /// report.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self(Cache { events, ..self.0 })
    }

    /// The registry within.
    pub fn get_ref(&self) -> &R {
        &self.0.inner
    }

    /// The registry within, without the cache. A pull that was dropped just now may still have a hold on it.
    pub fn into_inner(self) -> Arc<R> {
        self.0.inner
    }

    /// The image, if it is here whole, whatever the policy. No registry is asked.
    ///
    /// Fails where it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.0.store.resolve(&reference.parse()?, &self.0.platform).await?.map(Into::into))
    }
}

impl<R> Cache<R> {
    /// The image that the store has under this name, if the policy lets it answer: noted as a use, and reported.
    async fn hit(&self, reference: &Reference) -> Result<Option<PulledImage>> {
        if !self.may_answer(reference)? {
            return Ok(None);
        }
        let Some(image) = self.store.hit(reference, &self.platform).await? else { return Ok(None) };
        let (of, digest) = (|| reference.clone(), || image.digest.clone());
        self.report(&image, || Event::Hit { reference: of(), digest: digest() });
        Ok(Some(image.into()))
    }

    fn may_answer(&self, reference: &Reference) -> Result<bool> {
        match self.policy {
            Policy::Always => Ok(reference.digest().is_some()),
            Policy::NewerThan(_) if reference.digest().is_none() => {
                let image = self.store.known(reference, &self.platform)?;
                Ok(image.is_some_and(|image| self.policy.trusts(image.pulled)))
            }
            _ => Ok(true),
        }
    }

    /// The image that is here, in place of one that could not be had.
    async fn stale(&self, reference: &Reference, error: Error) -> Result<PulledImage> {
        if !self.serves_stale || !error.is_transient() {
            return Err(error);
        }
        let here = match self.store.hit(reference, &self.platform).await {
            Err(refusal) if *refusal.kind() == ErrorKind::Refused => {
                tracing::warn!(%reference, error = refusal.report(), "what is here may not be served in its place");
                None
            }
            here => here?,
        };
        let Some(image) = here else { return Err(error) };
        tracing::warn!(%reference, digest = %image.digest, error = error.report(), "served what may be out of date");
        self.report(&image, || Event::ServedStale {
            reference: reference.clone(),
            digest: image.digest.clone(),
            kind: error.kind().clone(),
        });
        Ok(image.into())
    }

    /// Reports a pull that is answered from here, and how that came.
    fn report(&self, image: &StoredImage, how: impl FnOnce() -> Event) {
        let StoredImage { reference, digest, .. } = image;
        self.events.emit(|| Event::Started { reference: reference.clone() });
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest: digest.clone() });
        self.events.emit(how);
        self.events.emit(|| Event::Committed { reference: reference.clone(), digest: digest.clone() });
    }

    /// Fails where nothing may be pulled by this name, whoever has it.
    fn admit(&self, reference: &Reference) -> Result<()> {
        self.store.admit_reference(reference).map_err(|error| self.refuse(reference, error))
    }

    /// Reports a pull that fails here, without anybody being asked.
    fn refuse(&self, reference: &Reference, error: Error) -> Error {
        self.events.emit(|| Event::Started { reference: reference.clone() });
        self.report_failure(reference, &error);
        error
    }

    fn report_failure(&self, reference: &Reference, error: &Error) {
        self.events.emit(|| Event::Failed { reference: reference.clone(), kind: error.kind().clone() });
    }
}

impl<R: ImageRegistry + 'static> Cache<R> {
    /// The answer that can be given here and now. `None`: the registry within has to be asked.
    async fn answer(&self, reference: &Reference) -> Result<Option<PulledImage>> {
        self.admit(reference)?;
        if let Some(image) = self.hit(reference).await.map_err(|error| self.refuse(reference, error))? {
            return Ok(Some(image));
        }
        if self.policy == Policy::Never {
            let message =
                format!("{reference} is not in the store, and the policy `never` asks nobody for it");
            let error = Error::new(ErrorKind::NotFound, message);
            return Err(self.refuse(reference, error.with_help("pull it with another policy")));
        }
        Ok(None)
    }

    /// What a flight does, of one call on the store. While it was about to begin, another one may have landed.
    async fn fly(self, reference: Reference) -> Result<PulledImage> {
        let (store, _call) = self.store.call();
        let this = Self { store, ..self };
        match this.answer(&reference).await? {
            Some(image) => Ok(image),
            None => this.fetch(&reference).await,
        }
    }

    async fn fly_forced(self, reference: Reference) -> Result<PulledImage> {
        let (store, _call) = self.store.call();
        let this = Self { store, ..self };
        this.absences.forget(&reference);
        let outcome = this.ask(&reference, Trust::Nothing).await;
        this.begin_anew(&reference);
        outcome
    }

    async fn fetch(&self, reference: &Reference) -> Result<PulledImage> {
        if let Some(error) = self.absences.recall(reference) {
            return Err(self.refuse(reference, error));
        }
        let asked = self.absences.asked();
        let outcome = self.ask(reference, Trust::Pool).await;
        if let Err(error) = &outcome
            && *error.kind() == ErrorKind::NotFound
        {
            self.absences.remember(reference, error, asked);
        }
        match outcome {
            Err(error) => self.stale(reference, error).await,
            pulled => pulled,
        }
    }

    /// Asks the registry within, and keeps what it answers.
    async fn ask(&self, reference: &Reference, trust: Trust) -> Result<PulledImage> {
        let name = reference.to_string();
        for _ in 0..ATTEMPTS {
            let asked = SystemTime::now();
            let pulled = match trust {
                Trust::Pool => self.inner.pull(&name).await?,
                Trust::Nothing => self.inner.force_pull(&name).await?,
            };
            let kept = self.keep(reference, pulled, trust, asked).await;
            if let Some(image) = kept.inspect_err(|error| self.report_failure(reference, error))? {
                return Ok(image);
            }
        }
        let message =
            format!("{reference} was removed or replaced each of the {ATTEMPTS} times it was pulled");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes or replaces it"))
    }

    /// Lets no pull from now on have anything that was found before.
    fn begin_anew(&self, reference: &Reference) {
        self.flights.close(reference);
        self.absences.forget(reference);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry + 'static> ImageRegistry for Cached<R> {
    /// What is here is answered at once. All else is a flight, which is a task.
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        if let Some(image) = this.answer(&reference).await? {
            return Ok(image);
        }
        this.flights.join(reference.clone(), || this.clone().fly(reference)).await
    }

    /// Asks the registry within, and never joins a pull that began before: its answer could be older than
    /// this call. Under [`Policy::Never`] it fails with [`Unsupported`](ErrorKind::Unsupported).
    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        this.admit(&reference)?;
        if this.policy == Policy::Never {
            let message =
                format!("cannot force a pull of {reference}: the policy `never` asks nobody for it");
            let error = Error::new(ErrorKind::Unsupported, message).with_help("use another policy");
            return Err(this.refuse(&reference, error));
        }
        owned(this.clone().fly_forced(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        match reference.parse().and_then(|reference| self.0.store.known(&reference, &self.0.platform)) {
            Ok(image) => image.is_some(),
            Err(error) => {
                tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
                false
            }
        }
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        let (platform, name) = (this.platform.clone(), reference.clone());
        let found = this.store.blocking(move |store| store.remove(&name, &platform)).await;
        // A digest is removed under all its names: whoever pulls any from now on must not be handed what was
        // found before.
        this.flights.close_all();
        this.absences.forget(&reference);
        found
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let platform = self.0.platform.clone();
        let references = self.0.store.blocking(move |store| store.list(&platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }
}

/// `cached(remote)`, and with another policy than the usual one `cached(always, remote)`.
impl<R: fmt::Display> fmt::Display for Cached<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.policy {
            Policy::IfNotPresent => write!(f, "cached({})", self.0.inner),
            policy => write!(f, "cached({policy}, {})", self.0.inner),
        }
    }
}
