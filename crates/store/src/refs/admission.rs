//! Admission: which images of a store may be handed out.

use std::sync::Arc;

use hoist_core::{Admission, Candidate, Digest, Platform, PulledImage, Reference, Result};

use crate::refs::StoredImage;
use crate::store::Store;

impl Store {
    /// Adds an admission policy to this handle, after those that it has already. All of them must admit an
    /// image before it gets a name or is handed out. Clones of the returned handle ask the policies too; other
    /// handles do not.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>) -> Self {
        self.admissions = self.admissions.and(admission);
        self
    }

    /// Whether any policy was added. Then [`admit`](Self::admit) may block.
    pub fn has_admission(&self) -> bool {
        self.admissions.get().is_some()
    }

    /// Fails if no image may be requested by this name. A pull calls this before it contacts anything else.
    pub fn admit_reference(&self, reference: &Reference) -> Result<()> {
        let Some(admission) = self.admissions.get() else { return Ok(()) };
        admission.admit_reference(reference).map_err(|error| error.context(not_admitted(reference)))
    }

    /// Fails if this image may not be handed out by this name. It may [block](Admission::admit).
    ///
    /// [`name`](Self::name), [`confirm`](Self::confirm), [`resolve`](Self::resolve) and [`get_and_touch`](Self::get_and_touch) call
    /// this themselves.
    pub fn admit(&self, image: &Candidate<'_>) -> Result<()> {
        let Some(admission) = self.admissions.get() else { return Ok(()) };
        let admitted = admission.admit_reference(image.reference).and_then(|()| admission.admit(image));
        admitted.map_err(|error| error.context(not_admitted(image.reference)))
    }

    /// Like [`admit`](Self::admit), for an image that another registry returned, wherever it is stored.
    pub async fn admit_pulled(
        &self,
        reference: &Reference,
        platform: &Platform,
        image: &PulledImage,
    ) -> Result<()> {
        if self.admissions.get().is_none() {
            return Ok(());
        }
        let (reference, platform) = (reference.clone(), platform.clone());
        let (digest, path): (Digest, _) = (image.digest.parse()?, image.path.clone());
        self.blocking(move |store| {
            let known = store.peek(&reference, &platform)?.filter(|known| known.digest == digest);
            let resolved = known.as_ref().map(|known| &known.resolved).or(reference.digest());
            let resolved = resolved.unwrap_or(&digest);
            store.admit(&Candidate::new(&reference, &platform, resolved, &digest, &path))
        })
        .await
    }

    /// Finds an image on a thread where a policy may block. Without a policy, finds it on the current thread.
    pub(crate) async fn find(
        &self,
        reference: &Reference,
        platform: &Platform,
        find: fn(&Self, &Reference, &Platform) -> Result<Option<StoredImage>>,
    ) -> Result<Option<StoredImage>> {
        if self.admissions.get().is_none() {
            return find(self, reference, platform);
        }
        let (reference, platform) = (reference.clone(), platform.clone());
        self.blocking(move |store| find(store, &reference, &platform)).await
    }
}

fn not_admitted(reference: &Reference) -> String {
    format!("{reference} is not admitted")
}
