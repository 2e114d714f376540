//! The two formats of documents: OCI and Docker.

use hoist_core::media_type;

/// Whose media types an image's documents have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The OCI image spec's.
    #[default]
    Oci,
    /// Docker's schema 2 ([manifest-v2-2](https://distribution.github.io/distribution/spec/manifest-v2-2/)).
    Docker,
}

impl Format {
    /// The media type of a manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// The media type of an index of manifests.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_LIST,
        }
    }

    /// The media type of an image's configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// The media type of a layer.
    pub fn layer(self, is_gzipped: bool) -> &'static str {
        match (self, is_gzipped) {
            (Self::Oci, false) => "application/vnd.oci.image.layer.v1.tar",
            (Self::Oci, true) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Self::Docker, false) => "application/vnd.docker.image.rootfs.diff.tar",
            (Self::Docker, true) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}
