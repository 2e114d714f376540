//! One pull: asks the registry for the image, fetches the blobs that the store lacks, and names the image.

use futures_util::future;
use hoist_core::{Descriptor, MAX_DOCUMENT, PullEvents, PulledImage, Reference, Result};
use hoist_store::{Fetched, Lease, Verify};

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
        let lease = lease.arrived_by(route.arrival()).with_inner_indexes(resolved.inner_indexes);
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
            self.check_platform(resolved, |config| lease.read(config, MAX_DOCUMENT))?;
            return Ok(lease);
        }
        let staging = self.store.stage(verify)?;
        staging.check_space(resolved.document.blobs())?;
        let put = staging.put(&resolved.manifest, resolved.bytes.clone());
        let wanted = sources::wanted(&self.client, route, &self.foreign, resolved.document.blobs())?;
        let check = |blob: &Descriptor| {
            // As soon as it is there: an image for another platform is not fetched as a whole.
            if *blob != resolved.document.config {
                return Ok(());
            }
            self.check_platform(resolved, |config| staging.read(config, MAX_DOCUMENT))
        };
        let fetch = self.client.fetcher.fetch(&staging, wanted, &self.events, check);
        future::try_join(fetch, put).await?;
        staging.commit_pulled(resolved.manifest.clone(), reference, &self.platform).await
    }

    /// Fails if the image is not for this registry's platform, or if its configuration, by `read`, cannot tell.
    fn check_platform(
        &self,
        resolved: &Resolved,
        read: impl FnOnce(&Descriptor) -> Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        self.platform.check_image(&resolved.manifest, &resolved.document, read).map(drop)
    }
}
