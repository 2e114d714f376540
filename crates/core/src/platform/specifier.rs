//! Platforms as text: `linux/arm/v7`, `windows(10.0.17763+win32k)/amd64`.

use std::fmt;
use std::str::FromStr;

use super::Platform;
use crate::error::{Error, ErrorKind, Result};

/// The meanings of a single word: Go's names, as listed in containerd
/// ([database.go](https://github.com/containerd/platforms/blob/main/database.go)).
const SYSTEMS: [&str; 9] =
    ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "android", "illumos", "solaris"];
const ARCHITECTURES: [&str; 9] =
    ["386", "amd64", "arm", "arm64", "loong64", "ppc64le", "riscv64", "s390x", "wasm"];

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        read(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidReference, format!("invalid platform {text:?}"))
                .with_help("a platform looks like linux/amd64, linux/arm/v7 or windows(10.0.17763)/amd64")
        })
    }
}

fn read(text: &str) -> Option<Platform> {
    let mut parts = text.splitn(4, '/');
    let (first, rest) = (parts.next()?, parts.collect::<Vec<_>>());
    let (os, version, features) = system(first)?;
    if !is_word(os) || !rest.iter().all(|part| is_word(part)) {
        return None;
    }
    let platform = match rest[..] {
        [] => alone(os)?,
        [architecture] => Platform::new(os, architecture, None),
        [architecture, variant] => Platform::new(os, architecture, Some(variant)),
        _ => return None,
    };
    Some(Platform { os_version: version, os_features: features, ..platform })
}

/// The operating system, with its version and its features from the parentheses after it.
fn system(text: &str) -> Option<(&str, Option<String>, Vec<String>)> {
    let Some((os, options)) = text.split_once('(') else { return Some((text, None, Vec::new())) };
    let mut options = options.strip_suffix(')')?.split('+');
    let version = Some(options.next()?).filter(|version| !version.is_empty());
    let mut features: Vec<_> = options.map(ToOwned::to_owned).collect();
    if !version.is_none_or(is_word) || !features.iter().all(|feature| is_word(feature)) {
        return None;
    }
    features.sort_unstable();
    features.dedup();
    Some((os, version.map(ToOwned::to_owned), features))
}

/// An operating system on this machine's processor, or a processor under Linux.
fn alone(word: &str) -> Option<Platform> {
    let host = Platform::host();
    let system = Platform::new(word, &host.architecture, host.variant.as_deref());
    if SYSTEMS.contains(&&*system.os) {
        return Some(system);
    }
    Some(Platform::new(&host.os, word, None)).filter(|p| ARCHITECTURES.contains(&&*p.architecture))
}

/// No part may have a dash, because dashes join the parts of a [key](Platform::key).
fn is_word(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if self.os_version.is_some() || !self.os_features.is_empty() {
            write!(f, "({}", self.os_version.as_deref().unwrap_or_default())?;
            self.os_features.iter().try_for_each(|feature| write!(f, "+{feature}"))?;
            f.write_str(")")?;
        }
        write!(f, "/{}", self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// The name of this platform as one component of a path: `linux-arm-v7`, `windows-amd64@10.0.17763`.
    /// Distinct parsed platforms have distinct keys. Characters that are unfit for a path become `_`.
    pub fn key(&self) -> String {
        let fit = |part: &str| -> String {
            part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect()
        };
        let mut key = format!("{}-{}", fit(&self.os), fit(&self.architecture));
        key.extend(self.variant.iter().map(|variant| format!("-{}", fit(variant))));
        key.extend(self.os_version.iter().map(|version| format!("@{}", fit(version))));
        key.extend(self.os_features.iter().map(|feature| format!("+{}", fit(feature))));
        key
    }
}
