//! A backend of one's own: images that come by a protocol which hoist does not know. The store hashes what
//! it is given, so that even the shortest backend cannot put wrong bytes on the disk; it can be wrapped
//! like any other, and the behavioural suite says whether it keeps the contract.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use hoist::{
    Cached, Descriptor, Digest, Document, Durability, Error, ErrorKind, Events, Fetched, ImageRegistry,
    Lease, Platform, PulledImage, Reference, Result, Store, StoreOptions, Verify, WriteQueue,
};
use hoist_testkit::contract::{self, Ability, Subject};
use hoist_testkit::{Image, Origin, Publishable};

/// The other end of the "protocol": a map in memory; yours might be a message queue, or a tape robot.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    names: HashMap<String, Digest>,
    bytes: HashMap<Digest, Vec<u8>>,
    replaced: HashMap<Digest, Vec<u8>>,
    is_down: bool,
}

impl Shelf {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("nobody panics with it")
    }

    /// What has this digest, or should have.
    fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        let content = self.content();
        let found = content.replaced.get(digest).or(content.bytes.get(digest));
        found.cloned().ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no {digest} on the shelf")))
    }

    /// What a reference leads to.
    fn find(&self, reference: &Reference) -> Result<Digest> {
        let content = self.content();
        if content.is_down {
            return Err(Error::new(ErrorKind::Unavailable, "the shelf is out of reach"));
        }
        let found = reference.digest().or(content.names.get(&reference.to_string()));
        found.cloned().ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no {reference} on the shelf")))
    }
}

/// The backend. Clones share their store.
#[derive(Clone)]
struct Memory {
    shelf: Shelf,
    store: Store,
    platform: Platform,
}

impl Memory {
    async fn get(&self, name: &str, verify: Verify) -> Result<PulledImage> {
        let reference: Reference = name.parse()?;
        let (this, name) = (self.clone(), reference.clone());
        let fetch = move |store, _| {
            let (this, name) = (Self { store, ..this.clone() }, name.clone());
            async move { this.fetch(&name, verify).await }
        };
        // The store does everything that is the same for every backend: admission, the task, and the name.
        self.store.pull(&reference, &self.platform, verify, &Events::default(), fetch).await
    }

    async fn fetch(&self, reference: &Reference, verify: Verify) -> Result<Fetched> {
        let top = self.shelf.find(reference)?;
        let bytes = self.shelf.get(&top)?;
        top.verify(&bytes)?; // against what was asked for, before it is read
        let (manifest, bytes, index) = match Document::parse(&bytes, None)? {
            Document::Index(index) => {
                let manifest = index.choose(&self.platform)?.clone();
                let content = self.shelf.get(&manifest.digest)?;
                (manifest, content, Some((top, bytes)))
            }
            Document::Manifest(manifest) => (Descriptor::of(&manifest.media_type, &bytes), bytes, None),
            _ => return Err(Error::new(ErrorKind::Unsupported, format!("{top} is no image"))),
        };
        Ok(Fetched::New { lease: self.bring(reference, &manifest, bytes, verify).await?, index })
    }

    /// Puts an image together in the store.
    async fn bring(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: Vec<u8>,
        verify: Verify,
    ) -> Result<Lease> {
        let staging = self.store.stage(verify)?;
        staging.put(descriptor, bytes.clone()).await?; // checks size and digest
        let Document::Manifest(manifest) = Document::parse(&bytes, Some(&descriptor.media_type))? else {
            return Err(Error::new(ErrorKind::Malformed, format!("{} is no manifest", descriptor.digest)));
        };
        for blob in manifest.blobs() {
            // Checks size and digest, and goes on from what was left of an earlier try.
            let write = |queue: WriteQueue, _| async move {
                queue.write(0, self.shelf.get(&blob.digest)?.into()).await
            };
            staging.fetch(blob, &Events::default(), write).await?;
        }
        // Checks that the image is for this platform, as the others do.
        staging.commit_pulled(descriptor.clone(), reference, &self.platform).await
    }
}

#[async_trait::async_trait]
impl ImageRegistry for Memory {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Cached).await
    }
    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Rehash).await
    }
    async fn is_cached(&self, reference: &str) -> bool {
        self.store.is_cached(reference, &self.platform)
    }
    async fn remove(&self, reference: &str) -> Result<bool> {
        self.store.remove_cached(reference, &self.platform).await
    }
    async fn list_cached(&self) -> Result<Vec<String>> {
        self.store.list_cached(&self.platform).await
    }
}

/// What the suite does to the other end, to see what the backend makes of it.
#[async_trait::async_trait]
impl Origin for Shelf {
    async fn publish(&self, repository: &str, tag: &str, what: &Publishable) -> String {
        let reference = format!("shelf.example/{repository}:{tag}");
        let mut content = self.content();
        for blob in what.documents().into_iter().chain(what.blobs()) {
            content.bytes.insert(blob.digest.clone(), blob.bytes.to_vec());
        }
        content.names.insert(reference.clone(), what.digest().clone());
        reference
    }
    async fn unpublish(&self, reference: &str) {
        self.content().names.remove(reference);
    }
    async fn go_down(&self) {
        self.content().is_down = true;
    }
    async fn go_up(&self) {
        self.content().is_down = false;
    }
    async fn replace(&self, digest: &Digest, bytes: bytes::Bytes) {
        self.content().replaced.insert(digest.clone(), bytes.to_vec());
    }
    async fn repair(&self) {
        self.content().replaced.clear();
    }
}

/// A backend with nothing in its store, on a shelf with nothing on it.
async fn start() -> Subject {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let options = StoreOptions::default().with_durability(Durability::None);
    let store = Store::open(directory.path().join("store"), options).expect("a store can be opened");
    let shelf = Shelf::default();
    let platform = contract::PLATFORM.parse().expect("it is a platform");
    Subject::new(Memory { shelf: shelf.clone(), store, platform }, shelf).keeping(directory)
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::open(directory.path().join("store"), StoreOptions::default())?;
    let platform: Platform = "linux/amd64".parse()?;
    let shelf = Shelf::default();
    let name = shelf.publish("demo", "v1", &Image::sample(1).into()).await;
    let memory = Memory { shelf, store: store.clone(), platform: platform.clone() };
    let registry = Cached::new(memory, store).with_platform(platform);

    println!("pulled {}", registry.pull(&name).await?.reference);
    println!("cached {}", registry.is_cached(&name).await);
    println!("unknown: {}", registry.pull("demo:v2").await.expect_err("it is not there").report());

    // The whole contract, each case on a backend of its own.
    let abilities = [
        Ability::AlwaysAsks,
        Ability::StartsEmpty,
        Ability::Removes,
        Ability::KeepsCopies,
        Ability::Outage,
        Ability::Damage,
    ];
    contract::assert_kept("memory", &abilities, start).await;
    println!("the contract is kept");
    Ok(())
}
