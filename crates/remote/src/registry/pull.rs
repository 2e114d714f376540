//! One pull: asks the registry for the image, fetches the blobs that the store lacks, and names the image.

use std::time::SystemTime;

use futures_util::future;
use hoist_core::{Descriptor, Event, MAX_DOCUMENT, PulledImage, Reference, Result, config_platform};
use hoist_store::{Lease, Staging, Store, StoredImage, Trust};

use super::RemoteRegistry;
use crate::hosts::Route;
use crate::manifest::{self, Resolved};
use crate::sources;

/// The annotation of a layout's entry that holds the tag (image-spec, annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl RemoteRegistry {
    /// A pull that reports its beginning and its end. A digest that the store has is answered at once; everything else
    /// happens in a task.
    pub(super) async fn pull_observed(&self, reference: &str, trust: Trust) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let pull = async {
            self.store.admit_reference(&reference)?;
            if trust == Trust::Pool
                && reference.digest().is_some()
                && let Some(image) = self.store.hit(&reference, &self.platform).await?
            {
                return Ok(image);
            }
            let (this, name) = (self.clone(), reference.clone());
            let pull = |store| async move { Self { store, ..this }.pull_reference(&name, trust).await };
            self.store.owned(pull).await
        };
        Ok(self.events.observe(&reference, pull, |image| image.digest.clone()).await?.into())
    }

    async fn pull_reference(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        if trust == Trust::Pool
            && let Some(image) = self.unchanged(reference).await?
        {
            return Ok(image);
        }
        self.fetch(reference, trust).await
    }

    /// The image in the store under this name, if the registry has the same one now.
    async fn unchanged(&self, reference: &Reference) -> Result<Option<StoredImage>> {
        if !self.is_current(reference).await? {
            return Ok(None);
        }
        self.store.hit(reference, &self.platform).await
    }

    /// Fetches the image. Starts again if another pull, which asked later, was faster and named another image.
    async fn fetch(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        loop {
            let (image, lease) = self.fetch_once(reference, trust).await?;
            if image.digest == *lease.digest() {
                return Ok(image);
            }
            tracing::debug!(%reference, "the name was given to another image meanwhile; asking again");
        }
    }

    /// Asks the registry for the image, fetches the blobs that the store lacks, and names it, unless a later answer has
    /// named another.
    async fn fetch_once(&self, reference: &Reference, trust: Trust) -> Result<(StoredImage, Lease)> {
        let asked = SystemTime::now();
        let route = self.hosts.route(reference)?;
        let resolved =
            manifest::resolve(&self.client, &route, reference, &self.platform, &self.store).await?;
        let digest = resolved.manifest.digest.clone();
        tracing::info!(%reference, %digest, "resolved");
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest });
        let lease = self.obtain(&route, reference, &resolved, trust).await?;
        let (reference, platform) = (reference.clone(), self.platform.clone());
        let name = move |store: &Store| {
            let index = resolved.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
            Ok((store.name_as_of(&reference, &platform, &lease, index, asked)?, lease))
        };
        self.store.blocking(name).await
    }

    /// Whether the image in the store under this name is the one that the registry has now.
    async fn is_current(&self, reference: &Reference) -> Result<bool> {
        let Some(known) = self.store.known(reference, &self.platform)? else { return Ok(false) };
        if reference.digest().is_some() {
            return Ok(true);
        }
        let route = self.hosts.route(reference)?;
        let current = manifest::current_digest(&self.client, &route, reference).await?;
        Ok(current == Some(known.resolved))
    }

    /// Leases the image, after fetching it if the store lacks it.
    async fn obtain(
        &self,
        route: &Route,
        reference: &Reference,
        resolved: &Resolved,
        trust: Trust,
    ) -> Result<Lease> {
        if trust == Trust::Pool
            && let Some(lease) = self.store.lease_async(&resolved.manifest.digest).await?
        {
            self.check_platform(config_of(resolved, |config| lease.read(config, MAX_DOCUMENT))?.as_deref())?;
            return Ok(lease);
        }
        let staging = self.store.stage(trust)?;
        staging.check_space(resolved.document.blobs())?;
        let put = staging.put(&resolved.manifest, resolved.bytes.clone());
        let wanted = sources::wanted(&self.client, route, &self.foreign, resolved.document.blobs())?;
        let check = |blob: &Descriptor| {
            if *blob != resolved.document.config {
                return Ok(());
            }
            self.check_platform(staged_config(&staging, resolved)?.as_deref())
        };
        let fetch = self.client.fetcher.fetch(&staging, wanted, &self.events, check);
        future::try_join(fetch, put).await?;
        let entry = entry(&staging, reference, resolved);
        staging.commit(entry).await
    }

    /// Fails if an image without an index is for another platform, by its configuration.
    fn check_platform(&self, config: Option<&[u8]>) -> Result<()> {
        config.map_or(Ok(()), |config| self.platform.check(config))
    }
}

/// The configuration, by `read`, if it is needed to know the image's platform.
fn config_of(
    resolved: &Resolved,
    read: impl FnOnce(&Descriptor) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Vec<u8>>> {
    let is_needed = resolved.manifest.platform.is_none() && resolved.document.is_runnable();
    if is_needed { read(&resolved.document.config) } else { Ok(None) }
}

/// The configuration among the staged blobs; without hard links, the pool may not have it.
fn staged_config(staging: &Staging, resolved: &Resolved) -> Result<Option<Vec<u8>>> {
    config_of(resolved, |config| staging.read(config, MAX_DOCUMENT))
}

/// The one entry of the layout's index.
fn entry(staging: &Staging, reference: &Reference, resolved: &Resolved) -> Descriptor {
    let mut entry = resolved.manifest.clone();
    if entry.platform.is_none() {
        let config = staged_config(staging, resolved).ok().flatten();
        entry.platform = config.as_deref().and_then(config_platform);
    }
    entry.annotations =
        reference.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())).into_iter().collect();
    entry
}
