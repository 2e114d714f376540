//! The suite, run on a registry of the simplest kind that keeps its promises, and on one that breaks them.
//!
//! It also shows what somebody needs who runs the suite on a backend of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, ImageRegistry, Manifest, Platform, PulledImage,
    Reference, Result, config_platform,
};
use hoist_testkit::{Ability, Harness, MockRegistry, PLATFORM, Subject, plain_client, run_contract};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// A registry that does one thing at a time: it fetches what it lacks into a pool, and then copies it.
struct Naive {
    root: TempDir,
    client: reqwest::Client,
    images: Mutex<Images>,
    /// Whether what arrives is checked. A registry that does not do so breaks its promises.
    checks: bool,
}

#[derive(Default)]
struct Images {
    by_reference: BTreeMap<String, PulledImage>,
    copies: usize,
}

#[async_trait::async_trait]
impl ImageRegistry for Naive {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let mut images = self.images.lock().await;
        match images.by_reference.get(&reference.to_string()) {
            Some(image) => Ok(image.clone()),
            None => self.fetch(&mut images, &reference).await,
        }
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        self.fetch(&mut *self.images.lock().await, &reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        let Ok(reference) = reference.parse::<Reference>() else { return false };
        self.images.lock().await.by_reference.contains_key(&reference.to_string())
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        let reference: Reference = reference.parse()?;
        Ok(self.images.lock().await.by_reference.remove(&reference.to_string()).is_some())
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(self.images.lock().await.by_reference.keys().cloned().collect())
    }
}

impl Naive {
    fn new(checks: bool) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        Self { root, client: plain_client(), images: Mutex::default(), checks }
    }

    async fn fetch(&self, images: &mut Images, reference: &Reference) -> Result<PulledImage> {
        let (digest, bytes, manifest) = self.resolve(reference).await?;
        for blob in manifest.blobs() {
            self.fetch_blob(reference, blob).await?;
        }
        let config = fs::read(self.pooled(&manifest.config.digest)).expect("a blob just fetched");
        platform().check(&config)?;
        assert!(config_platform(&config)?.is_some(), "all images of the suite say what they are made for");
        images.copies += 1;
        let path = self.root.path().join(images.copies.to_string());
        self.copy(&path, &digest, &bytes, &manifest)
            .map_err(|cause| Error::io("cannot copy an image", cause))?;
        let image = PulledImage { path, digest: digest.to_string(), reference: reference.to_string() };
        images.by_reference.insert(image.reference.clone(), image.clone());
        Ok(image)
    }

    /// The manifest that the reference leads to.
    async fn resolve(&self, reference: &Reference) -> Result<(Digest, Vec<u8>, Manifest)> {
        let (digest, bytes) = self.fetch_document(reference).await?;
        match Document::parse(&bytes, None)? {
            Document::Manifest(manifest) => Ok((digest, bytes, manifest)),
            Document::Index(index) => {
                let chosen = reference.pinned(index.choose(&platform())?.digest.clone());
                Box::pin(self.resolve(&chosen)).await
            }
            _ => unreachable!("there are no other documents"),
        }
    }

    async fn fetch_document(&self, reference: &Reference) -> Result<(Digest, Vec<u8>)> {
        let bytes = self.get(reference, "manifests", &reference.selector()).await?;
        let found = Digest::sha256(&bytes);
        if self.checks {
            reference.digest().map_or(Ok(()), |asked| asked.expect(&found))?;
        }
        Ok((found, bytes))
    }

    async fn fetch_blob(&self, reference: &Reference, blob: &Descriptor) -> Result<()> {
        let path = self.pooled(&blob.digest);
        if fs::read(&path).is_ok_and(|bytes| blob.verify(&bytes).is_ok()) {
            return Ok(());
        }
        let bytes = self.get(reference, "blobs", &blob.digest.to_string()).await?;
        if self.checks {
            blob.verify(&bytes)?;
        }
        fs::write(&path, bytes).map_err(|cause| Error::io("cannot write a blob", cause))
    }

    async fn get(&self, reference: &Reference, kind: &str, selector: &str) -> Result<Vec<u8>> {
        let url = format!("http://{}/v2/{}/{kind}/{selector}", reference.registry(), reference.repository());
        let unavailable =
            |cause| Error::new(ErrorKind::Unavailable, format!("cannot get {reference}")).with_source(cause);
        let response = self.client.get(url).send().await.map_err(unavailable)?;
        if response.status() == 404 {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no {reference}")));
        }
        Ok(response.bytes().await.map_err(unavailable)?.into())
    }

    fn pooled(&self, digest: &Digest) -> PathBuf {
        self.root.path().join(digest.hex())
    }

    /// Makes a layout of its own for the image.
    fn copy(&self, path: &Path, digest: &Digest, bytes: &[u8], manifest: &Manifest) -> std::io::Result<()> {
        let blobs = path.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for blob in manifest.blobs() {
            fs::copy(self.pooled(&blob.digest), blobs.join(blob.digest.hex()))?;
        }
        fs::write(blobs.join(digest.hex()), bytes)?;
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let entry = Descriptor::of(&manifest.media_type, bytes);
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(path.join("index.json"), index.to_string())
    }
}

fn platform() -> Platform {
    PLATFORM.parse().expect("a platform")
}

struct NaiveHarness {
    checks: bool,
}

#[async_trait::async_trait]
impl Harness for NaiveHarness {
    fn name(&self) -> String {
        "naive".to_owned()
    }

    fn abilities(&self) -> Vec<Ability> {
        [MockRegistry::ABILITIES, &[Ability::Remembers, Ability::StartsEmpty, Ability::Removes]].concat()
    }

    async fn start(&self) -> Subject {
        Subject::new(Arc::new(Naive::new(self.checks)), MockRegistry::start().await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_keeps_its_promises_passes() {
    let report = run_contract(&NaiveHarness { checks: true }).await;
    report.assert_kept();
    println!("{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_check_what_arrives_is_found_out() {
    let report = run_contract(&NaiveHarness { checks: false }).await;
    let broken: Vec<_> = report.broken().map(|(name, _)| name).collect();
    for name in [
        "a_digest_reference_refuses_other_content",
        "a_layer_with_a_wrong_bit_is_refused_until_it_is_right",
        "a_failed_force_pull_leaves_the_old_image_as_it_was",
    ] {
        assert!(broken.contains(&name), "{name} was not noticed: {report}");
    }
}
