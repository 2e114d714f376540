//! Which images run on a platform, and which of them fits best, by the rules of containerd's `platforms.Only`
//! ([compare.go](https://github.com/containerd/platforms/blob/main/compare.go)).

use std::cmp::Reverse;

use super::windows::{self, Version};
use super::{Platform, normalize};

/// How well an image fits; the lowest rank is the best. First the position of its processor in the list of
/// those that run here, and then, if a version of Windows was requested, the newest version.
type Rank = (usize, Reverse<Version>);

impl Platform {
    /// Chooses the best of these for this platform: one with exactly this platform first, then the others that
    /// it can run. The first of several equals wins.
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

    /// Whether no image fits this platform better than one made for `candidate`.
    pub(crate) fn is_met_by(&self, candidate: &Self) -> bool {
        self.rank(candidate).is_some_and(|(position, _)| position == 0)
    }

    fn rank(&self, candidate: &Self) -> Option<Rank> {
        let same_os = self.os.eq_ignore_ascii_case(&candidate.os);
        let has_features = candidate.os_features.iter().all(|feature| self.os_features.contains(feature));
        if !same_os || !has_features {
            return None;
        }
        let made_for = normalize(&candidate.architecture, candidate.variant.as_deref().unwrap_or_default());
        let version = self.version_of(candidate)?;
        let position = self.runs().into_iter().position(|runs| runs == made_for)?;
        Some((position, Reverse(version)))
    }

    /// The image's version of Windows, or the oldest one if the version does not matter. `None`: the image does
    /// not run here.
    fn version_of(&self, candidate: &Self) -> Option<Version> {
        let host = self.os_version.as_deref().filter(|_| self.os == "windows").and_then(windows::parse);
        match (host, &candidate.os_version) {
            (None, _) | (_, None) => Some(Version::default()),
            (Some(host), Some(version)) => windows::parse(version).filter(|v| windows::runs(host, *v)),
        }
    }

    /// The architectures and variants whose programs run here, best first (`platformVector`).
    fn runs(&self) -> Vec<(String, String)> {
        let (architecture, variant) =
            normalize(&self.architecture, self.variant.as_deref().unwrap_or_default());
        let mut runs = vec![(architecture.clone(), variant.clone())];
        match architecture.as_str() {
            "amd64" => {
                runs.extend(older("amd64", number(&variant).unwrap_or(1), 1));
                runs.push(("386".into(), String::new()));
            }
            "arm" => runs.extend(number(&variant).into_iter().flat_map(|version| older("arm", version, 5))),
            "arm64" => {
                runs.extend(older_arm64(&variant));
                runs.push(("arm".into(), "v8".into()));
                runs.extend(older("arm", 8, 5));
            }
            _ => {}
        }
        runs
    }
}

/// The 3 of `v3`.
fn number(variant: &str) -> Option<u8> {
    variant.trim_start_matches('v').parse().ok()
}

/// The versions below this one, down to the oldest.
fn older(architecture: &str, version: u8, oldest: u8) -> impl Iterator<Item = (String, String)> {
    (oldest..version).rev().map(move |version| normalize(architecture, &format!("v{version}")))
}

/// The versions below this one. `v9.x` includes `v8.(x+5)`.
fn older_arm64(variant: &str) -> Vec<(String, String)> {
    let (major, minor) = variant.split_once('.').unwrap_or((variant, "0"));
    let minor: u8 = minor.parse().unwrap_or(0).min(MAX_MINOR);
    let of = |major: u8, minors: std::ops::Range<u8>| {
        minors.rev().map(move |minor| normalize("arm64", &format!("v{major}.{minor}").replace(".0", "")))
    };
    match number(major) {
        Some(9) => of(9, 0..minor).chain(of(8, 0..minor + 6)).collect(),
        Some(8) => of(8, 0..minor).collect(),
        _ => Vec::new(),
    }
}

/// More minor versions than any Arm architecture will have.
const MAX_MINOR: u8 = 99;
