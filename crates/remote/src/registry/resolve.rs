//! Looks a reference up at its registry, without storing anything.

use hoist_core::{
    Descriptor, Document, Error, ErrorKind, ImageEntry, Index, Manifest, Platform, Reference, Resolution,
    Result, config_platform,
};
use hoist_store::owned;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::RemoteRegistry;
use crate::hosts::{Capability, Route};
use crate::manifest::{Fetched, fetch};

impl RemoteRegistry {
    /// Looks up the document that this reference has at its registry now, and lists its images. Stores nothing and
    /// fetches no layer: only the document itself, and the manifest of the image for this registry's platform, if
    /// there is one.
    ///
    /// Fails as a pull does, but not with [`PlatformMissing`](ErrorKind::PlatformMissing): the result lists the
    /// platforms.
    pub async fn resolve_remote(&self, reference: &str) -> Result<Resolution> {
        let reference: Reference = reference.parse()?;
        let (this, name) = (self.clone(), reference.clone());
        let looking_up = owned(async move { this.look_up(&name).await }).await;
        looking_up.map_err(|error| error.context(format!("cannot resolve {reference}")))
    }

    async fn look_up(&self, reference: &Reference) -> Result<Resolution> {
        let route = self.hosts.route(reference)?;
        let top = fetch(&self.client, &route, &reference.selector(), reference.digest()).await?;
        let images = match &top.document {
            Document::Index(index) => self.entries(&route, index).await?,
            Document::Manifest(manifest) => {
                let platform = self.stated_platform(&route, manifest).await?;
                let mut descriptor = top.descriptor.clone();
                descriptor.platform = platform;
                vec![entry(&descriptor, Some(manifest))]
            }
            other => return Err(Error::new(ErrorKind::Unsupported, format!("unknown document {other:?}"))),
        };
        Ok(Resolution::new(reference.clone(), &top.descriptor, images))
    }

    /// The images of an index, without attestations and other entries for no platform.
    async fn entries(&self, route: &Route, index: &Index) -> Result<Vec<ImageEntry>> {
        let chosen = match index.choose(&self.platform) {
            Ok(chosen) => Some(chosen),
            Err(error) if matches!(error.kind(), ErrorKind::PlatformMissing { .. }) => None,
            Err(error) => return Err(error),
        };
        let manifest = match chosen {
            Some(chosen) => Some(self.read(route, chosen).await?),
            None => None,
        };
        let is_image =
            |blob: &&Descriptor| blob.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
        let of =
            |blob| entry(blob, manifest.as_ref().and_then(Option::as_ref).filter(|_| Some(blob) == chosen));
        Ok(index.manifests.iter().filter(is_image).map(of).collect())
    }

    /// A manifest that an index names. `None`: it is another index.
    async fn read(&self, route: &Route, blob: &Descriptor) -> Result<Option<Manifest>> {
        let Fetched { document, .. } =
            fetch(&self.client, route, &blob.digest.to_string(), Some(&blob.digest)).await?;
        Ok(match document {
            Document::Manifest(manifest) => Some(manifest),
            _ => None,
        })
    }

    /// The platform of an image without an index, by its configuration.
    async fn stated_platform(&self, route: &Route, manifest: &Manifest) -> Result<Option<Platform>> {
        let config = &manifest.config;
        if !manifest.is_runnable() {
            return Ok(None);
        }
        let read = |_: &HeaderMap, bytes: Vec<u8>| {
            config.verify(&bytes)?;
            config_platform(&bytes)
        };
        let request = (Method::GET, &HeaderMap::new());
        self.client
            .ask(route, Capability::Pull, request, |endpoint| endpoint.blob(&config.digest), read)
            .await
    }
}

fn entry(blob: &Descriptor, manifest: Option<&Manifest>) -> ImageEntry {
    let size_of =
        |manifest: &Manifest| manifest.blobs().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    let mut entry = ImageEntry::new(blob);
    entry.content_size = manifest.map(size_of);
    entry
}
