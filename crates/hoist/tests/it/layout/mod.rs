//! A directory of images, and a store to be beside it.

#![allow(dead_code, reason = "not every test has a use for all of it")]

use std::fs;
use std::path::{Path, PathBuf};

use hoist::{Config, Digest};
use tempfile::TempDir;

pub(crate) struct Layout(TempDir);

impl Layout {
    /// Without any image.
    pub(crate) fn empty() -> Self {
        let layout = Self(TempDir::new().unwrap());
        fs::create_dir_all(layout.images().join("blobs/sha256")).unwrap();
        fs::write(layout.images().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout.write_index(&[]);
        layout
    }

    /// With one image, whose reference is `images:v1`.
    pub(crate) fn with_image() -> Self {
        Self::with_images(&["v1"])
    }

    /// With an image for each of these tags.
    pub(crate) fn with_images(tags: &[&str]) -> Self {
        let layout = Self::empty();
        let config = layout.put("application/vnd.oci.image.config.v1+json", b"{}");
        let manifests: Vec<_> = tags.iter().map(|tag| layout.manifest(&config, tag)).collect();
        layout.write_index(&manifests);
        layout
    }

    /// The directory of images.
    pub(crate) fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }

    /// A store of its own, and what else is so by default.
    pub(crate) fn store_only(&self) -> Config {
        Config::default().with_root(self.store())
    }

    /// That, with the directory as the only source.
    pub(crate) fn config(&self) -> Config {
        self.store_only().without_remote().with_local(self.images())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn manifest(&self, config: &serde_json::Value, tag: &str) -> serde_json::Value {
        let manifest = serde_json::json!({
            "schemaVersion": 2, "config": config, "layers": [], "annotations": { "tag": tag },
        });
        let mut manifest =
            self.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": tag });
        manifest
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let digest = Digest::sha256(bytes);
        fs::write(self.blobs().join(digest.hex()), bytes).unwrap();
        serde_json::json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn write_index(&self, manifests: &[serde_json::Value]) {
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.images().join("index.json"), index.to_string()).unwrap();
    }

    fn blobs(&self) -> PathBuf {
        Path::join(&self.images(), "blobs/sha256")
    }
}
