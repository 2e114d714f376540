//! Images for several platforms behind one name.

use hoist_core::{Digest, Platform};
use oci_spec::image::{
    Arch, Descriptor, ImageIndexBuilder, MediaType, Os, Platform as ForeignPlatform, PlatformBuilder,
    SCHEMA_VERSION,
};

use super::{Blob, Format, Image, Layer, json};

/// An index of images, or a manifest list as Docker calls it.
#[derive(Debug, Clone)]
pub struct ImageIndex {
    document: Blob,
    images: Vec<Image>,
}

impl ImageIndex {
    /// An OCI index of these images.
    pub fn new(images: impl IntoIterator<Item = Image>) -> Self {
        Self::with_format(Format::Oci, images)
    }

    /// An index with these media types; the images keep their own.
    pub fn with_format(format: Format, images: impl IntoIterator<Item = Image>) -> Self {
        let images: Vec<Image> = images.into_iter().collect();
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::from(format.index()))
            .manifests(images.iter().map(entry).collect::<Vec<_>>())
            .build()
            .expect("complete");
        Self { document: Blob::new(format.index(), json(&index)), images }
    }

    /// Images for `linux/amd64` and `linux/arm64` behind one name. Each seed makes others.
    pub fn sample(seed: u64) -> Self {
        let arm64 = Image::builder().platform("linux/arm64").layer(Layer::random(2048, !seed)).build();
        Self::new([arm64, Image::sample(seed)])
    }

    /// The digest of the index.
    pub fn digest(&self) -> &Digest {
        &self.document.digest
    }

    /// The index.
    pub fn document(&self) -> &Blob {
        &self.document
    }

    /// The images in it.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The image for this platform, such as `linux/arm64`.
    pub fn image(&self, platform: &str) -> &Image {
        let platform: Platform = platform.parse().expect("a platform");
        self.images.iter().find(|image| *image.platform() == platform).expect("an image for this platform")
    }
}

fn entry(image: &Image) -> Descriptor {
    let mut descriptor = image.manifest().descriptor();
    descriptor.set_platform(Some(foreign_platform(image.platform())));
    descriptor
}

fn foreign_platform(platform: &Platform) -> ForeignPlatform {
    let builder = PlatformBuilder::default()
        .os(Os::from(platform.os.as_str()))
        .architecture(Arch::from(platform.architecture.as_str()));
    match &platform.variant {
        Some(variant) => builder.variant(variant.clone()),
        None => builder,
    }
    .build()
    .expect("complete")
}
