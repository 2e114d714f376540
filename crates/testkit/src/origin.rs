//! Where a registry under test gets its images from, as the behavioural suite handles it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hoist_core::{Digest, Reference};

use crate::layout::{add_to_layout, blob_path, remove_from_layout, write_blob, write_layout};
use crate::mock::{Gate, MockRegistry};
use crate::publishable::Publishable;

/// Where a registry under test gets its images from. What an origin cannot do is not listed among its
/// harness's abilities, and is never asked of it.
#[async_trait::async_trait]
pub trait Origin: Send + Sync {
    /// Makes an image available, under this tag, which moves if it was there. Returns the full reference.
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String;

    /// Takes the tag away again, so that the image cannot be found by it.
    async fn unpublish(&self, reference: &str);

    /// Needs [`Outage`](crate::Ability::Outage): cannot be reached from now on.
    async fn go_down(&self) {
        unable("Outage");
    }

    /// Needs [`Outage`](crate::Ability::Outage): can be reached again.
    async fn go_up(&self) {
        unable("Outage");
    }

    /// Needs [`Damage`](crate::Ability::Damage): has these bytes in place of the content with this digest.
    async fn replace(&self, _digest: &Digest, _bytes: Bytes) {
        unable("Damage");
    }

    /// Needs [`Damage`](crate::Ability::Damage): has the right content again.
    async fn repair(&self) {
        unable("Damage");
    }

    /// Needs [`Counting`](crate::Ability::Counting): how many bytes of this content were transferred.
    fn bytes_served(&self, _digest: &Digest) -> u64 {
        unable("Counting")
    }

    /// Needs [`Holding`](crate::Ability::Holding): transfers of blobs stop after so many bytes, until the
    /// gate is released. Shorter blobs pass.
    fn hold_blobs(&self, _after: u64) -> Gate {
        unable("Holding")
    }
}

fn unable(ability: &str) -> ! {
    panic!("the harness claims the ability {ability}, and its origin has not got it")
}

#[async_trait::async_trait]
impl Origin for MockRegistry {
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String {
        Self::publish(self, repository, tag, what)
    }

    async fn unpublish(&self, reference: &str) {
        let reference: Reference = reference.parse().expect("a reference that was published");
        self.delete_tag(reference.repository(), reference.tag().expect("a tag"));
    }

    async fn go_down(&self) {
        Self::go_down(self).await;
    }

    async fn go_up(&self) {
        Self::go_up(self).await;
    }

    async fn replace(&self, digest: &Digest, bytes: Bytes) {
        Self::replace(self, digest, bytes);
    }

    async fn repair(&self) {
        Self::repair(self);
    }

    fn bytes_served(&self, digest: &Digest) -> u64 {
        Self::bytes_served(self, digest)
    }

    fn hold_blobs(&self, after: u64) -> Gate {
        Self::hold_blobs(self, after)
    }
}

/// An OCI layout directory as an origin. It keeps full references as names.
#[derive(Debug)]
pub struct LayoutOrigin {
    directory: PathBuf,
    host: String,
    /// What was in the place of what was replaced.
    replaced: Mutex<Vec<(Digest, Vec<u8>)>>,
}

impl LayoutOrigin {
    /// An empty layout in this directory, whose images are named as if they came from this host.
    ///
    /// Panics if it cannot be written.
    pub fn new(directory: impl AsRef<Path>, host: &str) -> Self {
        let nothing: [(&str, Publishable); 0] = [];
        write_layout(directory.as_ref(), nothing).expect("a directory that can be written");
        Self { directory: directory.as_ref().to_owned(), host: host.to_owned(), replaced: Mutex::default() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[async_trait::async_trait]
impl Origin for LayoutOrigin {
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String {
        let reference = format!("{}/{repository}:{tag}", self.host);
        add_to_layout(&self.directory, &reference, what).expect("a layout that can be written");
        reference
    }

    async fn unpublish(&self, reference: &str) {
        remove_from_layout(&self.directory, reference).expect("a layout that can be written");
    }

    async fn replace(&self, digest: &Digest, bytes: Bytes) {
        let right = std::fs::read(blob_path(&self.directory, digest)).expect("a blob that was published");
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).push((digest.clone(), right));
        write_blob(&self.directory, digest, &bytes).expect("a layout that can be written");
    }

    async fn repair(&self) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((digest, right)) = replaced.pop() {
            write_blob(&self.directory, &digest, &right).expect("a layout that can be written");
        }
    }
}
