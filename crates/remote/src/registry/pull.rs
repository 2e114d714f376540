//! One pull: asks the registry for the image, fetches the blobs that the store lacks, and names the image.

use futures_util::future;
use hoist_core::{Descriptor, MAX_DOCUMENT, PullEvents, PulledImage, Reference, Result, config_platform};
use hoist_store::{Fetched, Lease, Staging, Verify};

use super::RemoteRegistry;
use crate::hosts::Route;
use crate::manifest::{self, Resolved};
use crate::sources;

impl RemoteRegistry {
    pub(super) async fn pull_with(&self, reference: &str, verify: Verify) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let (this, name) = (self.clone(), reference.clone());
        let fetch = move |store, events: PullEvents| {
            let (this, name) = (Self { store, ..this.clone() }, name.clone());
            async move { this.fetch(&name, verify, &events).await }
        };
        self.store.pull(&reference, &self.platform, verify, &self.events, fetch).await
    }

    /// Asks the registry for the image, unless the store has the same one under this name, and fetches the blobs that the
    /// store lacks.
    async fn fetch(&self, reference: &Reference, verify: Verify, events: &PullEvents) -> Result<Fetched> {
        if verify == Verify::Cached
            && self.is_current(reference).await?
            && let Some(image) = self.store.get_and_touch(reference, &self.platform).await?
        {
            return Ok(Fetched::Here(image));
        }
        let route = self.hosts.route(reference)?;
        let resolved =
            manifest::resolve(&self.client, &route, reference, &self.platform, &self.store).await?;
        let digest = &resolved.manifest.digest;
        tracing::info!(%reference, %digest, "resolved");
        events.resolved(digest);
        events.manifest(&resolved.document);
        let lease = self.obtain(&route, reference, &resolved, verify).await?;
        Ok(Fetched::New { lease, index: resolved.index })
    }

    /// Whether the image in the store under this name is the one that the registry has now.
    async fn is_current(&self, reference: &Reference) -> Result<bool> {
        let Some(known) = self.store.peek(reference, &self.platform)? else { return Ok(false) };
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
        verify: Verify,
    ) -> Result<Lease> {
        if verify == Verify::Cached
            && let Some(lease) = self.store.lease_async(&resolved.manifest.digest).await?
        {
            self.check_platform(config_of(resolved, |config| lease.read(config, MAX_DOCUMENT))?.as_deref())?;
            return Ok(lease);
        }
        let staging = self.store.stage(verify)?;
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
    entry.tagged(reference)
}
