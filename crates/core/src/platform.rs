//! Platforms: what an image is made for, and which of an index's images fits a machine best.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// An operating system and a processor, by Go's names, as the OCI image spec has them
/// ([image-index](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md), `platform`).
///
/// Spelled `os/architecture[/variant]`: `linux/amd64`, `linux/arm/v7`. Parsing and choosing follow
/// [containerd/platforms](https://github.com/containerd/platforms).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, ...
    pub os: String,
    /// `amd64`, `arm64`, `arm`, ...
    pub architecture: String,
    /// The processor's version: `v7` of `arm`; absent where it is the architecture's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system; only Windows images have one.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must offer; only Windows images have these.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

impl Platform {
    /// This operating system and architecture, normalised.
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

    /// The platform of images that run on this machine: its processor, and Linux, also on a host that
    /// runs them in a virtual machine.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// The most suitable of these for this platform: its own first, then what it can also run, best
    /// first, as containerd's `platforms.Only` orders them.
    pub fn choose<'a, T>(&self, candidates: impl IntoIterator<Item = (&'a Self, T)>) -> Option<T> {
        candidates
            .into_iter()
            .filter_map(|(platform, item)| Some((self.rank(platform)?, item)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, item)| item)
    }

    /// Whether an image made for `candidate` runs on this platform.
    pub fn accepts(&self, candidate: &Self) -> bool {
        self.rank(candidate).is_some()
    }

    /// The place of `candidate` among what runs here; 0 is the platform itself.
    fn rank(&self, candidate: &Self) -> Option<usize> {
        let version_fits = self.os_version.is_none() || self.os_version == candidate.os_version;
        let (architecture, variant) =
            normalize(&candidate.architecture, candidate.variant.as_deref().unwrap_or_default());
        let position =
            self.runs().into_iter().position(|runs| runs == (architecture.clone(), variant.clone()));
        position.filter(|_| version_fits && self.os.eq_ignore_ascii_case(&candidate.os))
    }

    /// The architectures and variants whose programs run here, best first (`platformVector`).
    fn runs(&self) -> Vec<(String, String)> {
        let (architecture, variant) =
            normalize(&self.architecture, self.variant.as_deref().unwrap_or_default());
        let older = |architecture: &str, newest: u8, oldest: u8| -> Vec<(String, String)> {
            (oldest..=newest).rev().map(|v| normalize(architecture, &format!("v{v}"))).collect()
        };
        let version = variant.trim_start_matches('v').parse::<u8>().ok();
        let mut runs = vec![(architecture.clone(), variant)];
        match (architecture.as_str(), version) {
            ("amd64", version) => {
                runs.extend(older("amd64", version.unwrap_or(1).saturating_sub(1), 1));
                runs.push(("386".into(), String::new()));
            }
            ("arm", Some(version)) => runs.extend(older("arm", version.saturating_sub(1), 5)),
            ("arm64", version) => {
                runs.extend(older("arm64", version.unwrap_or(8).saturating_sub(1), 8));
                runs.extend(older("arm", 8, 5));
            }
            _ => {}
        }
        runs
    }

    /// The name of this platform as one component of a path: `linux-arm-v7`. What parses as a platform
    /// has a name of its own, since no part of it has a dash; anything unfit for a path becomes `_`.
    pub fn key(&self) -> String {
        let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
        let parts =
            [Some(&self.os), Some(&self.architecture), self.variant.as_ref(), self.os_version.as_ref()];
        let parts = parts.into_iter().flatten().map(|part| part.chars().map(fit).collect::<String>());
        parts.collect::<Vec<_>>().join("-")
    }
}

/// Go's names for what others call differently, and no variant where it is the usual one
/// (containerd's `normalizeArch`).
fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "386" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(ErrorKind::InvalidReference, format!("invalid platform {text:?}"))
                .with_help("a platform looks like linux/amd64 or linux/arm/v7")
        };
        let is_part = |part: &&str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(is_part) {
            return Err(invalid());
        }
        match parts[..] {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))?;
        self.os_version.iter().try_for_each(|version| write!(f, " ({version})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen<'a>(machine: &str, candidates: &[&'a str]) -> Option<&'a str> {
        let parsed: Vec<Platform> = candidates.iter().map(|c| c.parse().unwrap()).collect();
        machine.parse::<Platform>().unwrap().choose(parsed.iter().zip(candidates.iter().copied()))
    }

    #[test]
    fn platforms_print_as_they_parse_by_their_usual_names() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("Linux/ARM/7", "linux/arm/v7"),
            ("linux/i386", "linux/386"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), normal);
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for bad in ["", "linux", "linux/", "/amd64", "linux/a/b/c", "linux/../x", "linux/a-b", "linux/am d64"]
        {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_best_fit_is_chosen_whatever_the_order() {
        assert_eq!(chosen("linux/amd64", &["linux/arm64", "linux/amd64"]), Some("linux/amd64"));
        assert_eq!(chosen("linux/amd64", &["linux/386"]), Some("linux/386"));
        assert_eq!(chosen("linux/amd64", &["linux/amd64/v3"]), None);
        assert_eq!(chosen("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"]), Some("linux/amd64/v2"));
        assert_eq!(chosen("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"]), Some("linux/arm64/v8"));
        assert_eq!(chosen("linux/arm64", &["linux/arm/v6", "linux/arm/v7"]), Some("linux/arm/v7"));
        assert_eq!(
            chosen("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"]),
            Some("linux/arm/v6")
        );
        assert_eq!(chosen("linux/amd64", &["windows/amd64", "linux/arm64"]), None);
    }

    #[test]
    fn an_operating_system_version_counts_for_those_who_ask_for_it() {
        let image: Platform =
            serde_json::from_str(r#"{"os":"windows","architecture":"amd64","os.version":"10.0.17763.1"}"#)
                .unwrap();
        let any = Platform::new("windows", "amd64", None);
        let other = Platform { os_version: Some("10.0.20348.1".into()), ..any.clone() };
        assert!(any.accepts(&image));
        assert!(!other.accepts(&image));
        assert_eq!(image.key(), "windows-amd64-10.0.17763.1");
    }
}
