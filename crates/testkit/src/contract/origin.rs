//! The origin of a registry under test: it has the images, and the suite controls it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hoist_core::{Digest, Reference};

use super::ability::Ability;
use crate::image::Publishable;
use crate::layout::{add_to_layout, blob_path, remove_from_layout, write_blob, write_layout};
use crate::mock::{Gate, MockRegistry};

/// The origin of a registry under test, which pulls its images from there. The suite calls only the methods whose
/// ability the harness lists.
#[async_trait::async_trait]
pub trait Origin: Send + Sync {
    /// Makes an image available, under this tag, which moves if it was there. Returns the full reference.
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String;

    /// Takes the tag away again, so that the image cannot be found by it.
    async fn unpublish(&self, reference: &str);

    /// Needs [`Outage`](crate::Ability::Outage): makes it unreachable.
    async fn go_down(&self) {
        unable("Outage");
    }

    /// Needs [`Outage`](crate::Ability::Outage): makes it reachable again.
    async fn go_up(&self) {
        unable("Outage");
    }

    /// Needs [`Damage`](crate::Ability::Damage): replaces the content of this digest by these bytes.
    async fn replace(&self, _digest: &Digest, _bytes: Bytes) {
        unable("Damage");
    }

    /// Needs [`Damage`](crate::Ability::Damage): restores the right content.
    async fn repair(&self) {
        unable("Damage");
    }

    /// Needs [`Counting`](crate::Ability::Counting): the number of bytes of this content that were transferred.
    fn bytes_served(&self, _digest: &Digest) -> u64 {
        unable("Counting")
    }

    /// Needs [`Holding`](crate::Ability::Holding): stops transfers of blobs after `after` bytes, until the
    /// gate is released. Shorter blobs pass.
    fn hold_blobs(&self, _after: u64) -> Gate {
        unable("Holding")
    }
}

fn unable(ability: &str) -> ! {
    panic!("the harness claims the ability {ability}, and its origin has not got it")
}

impl MockRegistry {
    /// The abilities of a mocked registry as an origin.
    pub const ABILITIES: &[Ability] =
        &[Ability::Outage, Ability::Damage, Ability::Counting, Ability::Holding, Ability::KeepsCopies];
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
    /// The right content of the blobs that were replaced.
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

    /// The path of the layout.
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
