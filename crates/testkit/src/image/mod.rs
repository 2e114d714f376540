//! Images made in memory: manifests, configurations, layers, and indexes of images.

mod blob;
mod format;
mod index;
mod layer;
mod publishable;

use bytes::Bytes;
use hoist_core::{Digest, Platform};
use oci_spec::image::{
    Arch, ConfigBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageManifest, ImageManifestBuilder,
    MediaType, Os, RootFsBuilder, SCHEMA_VERSION,
};

pub use blob::{Blob, flip_a_bit};
pub use format::Format;
pub use index::ImageIndex;
pub use layer::Layer;
pub(crate) use layer::gzip;
pub use publishable::Publishable;

/// An image for one platform, with the raw bytes of all its parts.
#[derive(Debug, Clone)]
pub struct Image {
    platform: Platform,
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

impl Image {
    /// An image for `linux/amd64`, without layers until it is given some.
    pub fn builder() -> ImageBuilder {
        ImageBuilder {
            platform: Platform::new("linux", "amd64", None),
            format: Format::default(),
            layers: Vec::new(),
        }
    }

    /// A small image for `linux/amd64` of two layers, one of them compressed. Each seed makes another one.
    pub fn sample(seed: u64) -> Self {
        let etc = Layer::files(&[("etc/seed", seed.to_string().as_bytes())]);
        Self::builder().layer(etc.gzipped()).layer(Layer::random(4096, seed)).build()
    }

    /// What the image is made for.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> &Digest {
        &self.manifest.digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Blob {
        &self.manifest
    }

    /// The configuration.
    pub fn config(&self) -> &Blob {
        &self.config
    }

    /// The layers, lowest first; the same one twice where it was given twice.
    pub fn layers(&self) -> &[Blob] {
        &self.layers
    }

    /// All that the manifest names: the configuration and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// Puts an [`Image`] together.
#[derive(Debug, Clone)]
#[must_use = "an image is made by `build`"]
pub struct ImageBuilder {
    platform: Platform,
    format: Format,
    layers: Vec<Layer>,
}

impl ImageBuilder {
    /// Makes it for this platform, such as `linux/arm64`.
    pub fn platform(self, platform: &str) -> Self {
        Self { platform: platform.parse().expect("a platform"), ..self }
    }

    /// Gives its documents these media types.
    pub fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Puts a layer on top.
    pub fn layer(self, layer: Layer) -> Self {
        self.layers([layer])
    }

    /// Puts layers on top, the lowest first.
    pub fn layers(mut self, layers: impl IntoIterator<Item = Layer>) -> Self {
        self.layers.extend(layers);
        self
    }

    /// Writes the configuration and the manifest.
    pub fn build(self) -> Image {
        let config = Blob::new(self.format.config(), json(&self.configuration()));
        let layers: Vec<Blob> = self.layers.iter().map(|layer| layer.blob(self.format)).collect();
        let manifest = Blob::new(self.format.manifest(), json(&manifest(self.format, &config, &layers)));
        Image { platform: self.platform, manifest, config, layers }
    }

    fn configuration(&self) -> ImageConfiguration {
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| layer.diff_id().to_string()).collect();
        let rootfs = RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build();
        let run = ConfigBuilder::default().cmd(vec!["/bin/true".to_owned()]).build();
        ImageConfigurationBuilder::default()
            .os(Os::from(self.platform.os.as_str()))
            .architecture(Arch::from(self.platform.architecture.as_str()))
            .rootfs(rootfs.expect("complete"))
            .config(run.expect("complete"))
            .build()
            .expect("complete")
    }
}

fn manifest(format: Format, config: &Blob, layers: &[Blob]) -> ImageManifest {
    ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::from(format.manifest()))
        .config(config.descriptor())
        .layers(layers.iter().map(Blob::descriptor).collect::<Vec<_>>())
        .build()
        .expect("complete")
}

/// The bytes of a document. They are hashed, so they are made only once.
pub(crate) fn json(document: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(document).expect("documents are plain data").into()
}
