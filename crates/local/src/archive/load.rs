//! Takes the images of an archive into a store.

use std::ops::Range;

use hoist_core::{Candidate, Descriptor, Error, ErrorKind, Events, Platform, PulledImage, Reference, Result};
use hoist_store::{Arrival, Lease, Staging, Store, Verify, WriteQueue, blocking};

use super::{Archive, docker};
use crate::catalog::{Catalog, Choice, Content, Found};

const PIECE: usize = 256 << 10;

/// An image, and the name that it is to get.
struct Named {
    reference: Reference,
    image: Found,
}

/// The images that can be loaded, and an error for each that cannot.
#[derive(Default)]
struct Plan {
    images: Vec<Named>,
    failed: Vec<Error>,
}

impl Archive {
    /// Takes the images for this platform into the store, under their names in the archive. Returns, for each name, the
    /// image or the reason why it was not loaded: its content is damaged or not in the archive, the archive has none of
    /// this name for the platform, or two, or it cannot be named.
    ///
    /// A name that leads to another image already is not moved, unless that is `replace`d: then nothing is loaded at
    /// all (CVE-2026-50195). Where one image is not [admitted](Store::with_admission), none gets a name. Fails with
    /// [`NotFound`](ErrorKind::NotFound) where the archive lists no image.
    pub async fn load(
        &self,
        store: &Store,
        platform: &Platform,
        replace: bool,
    ) -> Result<Vec<Result<PulledImage>>> {
        let (this, platform) = (self.clone(), platform.clone());
        let load = store.owned(|store| async move { this.load_into(&store, &platform, replace).await });
        load.await.map_err(|error| self.refused(error))
    }

    async fn load_into(
        &self,
        store: &Store,
        platform: &Platform,
        replace: bool,
    ) -> Result<Vec<Result<PulledImage>>> {
        let (this, wanted, there) = (self.clone(), platform.clone(), store.clone());
        let plan = blocking(move || this.plan(&there, &wanted, replace)).await?;
        let (mut staged, mut failed) = (Vec::new(), plan.failed);
        for named in plan.images {
            match self.take(store, &named).await {
                Ok(lease) => staged.push((named, lease)),
                Err(error) if is_of_image(&error) => failed.push(named.failed(error)),
                Err(error) => return Err(error),
            }
        }
        // Only now, when all is there and may be, does anything get a name.
        let platform = platform.clone();
        let loaded = store.blocking(move |store| {
            staged.iter().try_for_each(|(named, _)| named.admit(store, &platform))?;
            staged
                .iter()
                .map(|(named, lease)| named.name(store, &platform, lease))
                .collect::<Result<Vec<_>>>()
        });
        let failed = failed.into_iter().map(|error| Err(self.refused(error)));
        Ok(loaded.await?.into_iter().map(Ok).chain(failed).collect())
    }

    fn refused(&self, error: Error) -> Error {
        error.context(format!("cannot load {}", self.contents.path.display()))
    }

    /// Chooses the images. Fails where a name may not be given.
    fn plan(&self, store: &Store, platform: &Platform, replace: bool) -> Result<Plan> {
        let plan = self.choose(platform)?;
        plan.images.iter().try_for_each(|named| store.admit_reference(&named.reference))?;
        if !replace {
            plan.images.iter().try_for_each(|named| named.check_name(store, platform))?;
        }
        Ok(plan)
    }

    fn choose(&self, platform: &Platform) -> Result<Plan> {
        let mut index = self.contents.index()?;
        let (unlisted, failed) = docker::unlisted(&self.contents, &index.manifests);
        index.manifests.extend(unlisted);
        if index.manifests.is_empty() && index.unreadable.is_empty() && failed.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "it lists no image"));
        }
        let catalog = Catalog::new(self.contents.clone(), index, &self.naming, platform);
        let mut plan = Plan { failed, ..Plan::default() };
        plan.failed.extend(catalog.unreadable());
        let mut others = Vec::new();
        for (name, Choice { image, troubles }) in catalog.images() {
            plan.failed.extend(troubles);
            let image = image.and_then(|image| catalog.check_whole(&image).map(|()| image));
            match (name, image) {
                (Ok(reference), Ok(image)) => plan.images.push(Named { reference, image }),
                (Ok(name), Err(error)) if name.digest().is_some() && is_other(&error) => others.push(error),
                (Err(_), Err(error)) if is_other(&error) => others.push(error),
                (Ok(name), Err(error)) => plan.failed.push(error.context(format!("{name} is not loaded"))),
                (Err(error), _) => plan.failed.push(error),
            }
        }
        // An image without a name is one of several platforms', as long as there is another.
        if plan.images.is_empty() && plan.failed.is_empty() {
            let available = others.iter().filter_map(|error| match error.kind() {
                ErrorKind::PlatformMissing { available } => Some(available.clone()),
                _ => None,
            });
            plan.failed.push(platform.missing(available.flatten().collect()));
        }
        Ok(plan)
    }

    async fn take(&self, store: &Store, named: &Named) -> Result<Lease> {
        let Named { reference, image } = named;
        let staging = store.stage(Verify::Cached)?;
        staging.check_space(image.document.blobs())?;
        staging.put(&image.manifest, image.bytes.clone()).await?;
        for blob in image.document.blobs() {
            self.bring(&staging, blob).await?;
        }
        let lease = staging.commit(image.manifest.clone().tagged(reference)).await?;
        Ok(lease.arrived_by(Arrival::Loaded))
    }

    async fn bring(&self, staging: &Staging, blob: &Descriptor) -> Result<()> {
        self.contents.check(blob)?;
        let write = |queue: WriteQueue, missing: Vec<Range<u64>>| async move {
            for range in missing {
                for offset in range.clone().step_by(PIECE) {
                    let (contents, digest) = (self.contents.clone(), blob.digest.clone());
                    let length = (PIECE as u64).min(range.end - offset);
                    let piece = blocking(move || contents.read_at(&digest, offset, length)).await?;
                    queue.write(offset, piece.into()).await?;
                }
            }
            Ok(())
        };
        staging.fetch(blob, &Events::default(), write).await.map(drop)
    }
}

/// Whether there is only an image for another platform.
fn is_other(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PlatformMissing { .. })
}

/// Whether an image's content is at fault, and not the store.
fn is_of_image(error: &Error) -> bool {
    use ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound | Kind::DigestMismatch | Kind::SizeMismatch | Kind::Malformed | Kind::Unsupported
    )
}

impl Named {
    fn failed(&self, error: Error) -> Error {
        error.context(format!("{} is not loaded", self.reference))
    }

    /// Fails where the name leads to another image already.
    fn check_name(&self, store: &Store, platform: &Platform) -> Result<()> {
        match store.peek(&self.reference, platform)? {
            Some(there) if there.digest != self.image.manifest.digest => {
                let Self { reference, image } = self;
                let message = format!(
                    "{reference} is {} here, and {} in the archive",
                    there.digest, image.manifest.digest
                );
                Err(Error::new(ErrorKind::Unsupported, message)
                    .with_help("remove that first, or load with `replace`; nothing was loaded"))
            }
            _ => Ok(()),
        }
    }

    /// Fails where the image may not have its name.
    fn admit(&self, store: &Store, platform: &Platform) -> Result<()> {
        let digest = &self.image.manifest.digest;
        let resolved = self.image.index.as_ref().map_or(digest, |(index, _)| index);
        let path = store.image_path(digest);
        store.admit(&Candidate::new(&self.reference, platform, resolved, digest, &path))
    }

    fn name(&self, store: &Store, platform: &Platform, lease: &Lease) -> Result<PulledImage> {
        let index = self.image.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
        store.name(&self.reference, platform, lease, index).map(Into::into)
    }
}
