//! Platforms: what an image is made for, and which image of an index fits a machine best.

mod compare;
mod specifier;
mod windows;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, with Go's names, as in the OCI image spec
/// ([image-index](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md), `platform`).
///
/// Written as `os/architecture[/variant]`: `linux/amd64`, `linux/arm/v7`; for Windows optionally with its
/// version, `windows(10.0.17763)/amd64`. Parsing and choosing follow
/// [containerd/platforms](https://github.com/containerd/platforms).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Platform {
    /// `linux`, `windows`, ...
    pub os: String,
    /// `amd64`, `arm64`, `arm`, ...
    pub architecture: String,
    /// The processor's version, such as `v7` of `arm`. Absent for the usual version of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system; only Windows images have one.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The features that the operating system must have; only Windows images list these.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

impl Platform {
    /// A platform with this operating system and architecture, normalised.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normalize(architecture, variant.unwrap_or_default());
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        Self {
            os,
            architecture,
            variant: Some(variant).filter(|v| !v.is_empty()),
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The platform of images that run on this machine: its processor, and Linux. This is Linux even on hosts
    /// that run images in a virtual machine.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }
}

/// Replaces other names by Go's, and removes the usual variant (containerd's `normalizeArch`).
fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "386" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "v9" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}
