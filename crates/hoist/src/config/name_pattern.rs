//! Patterns of image names: a registry, and the beginning of the path there.

use std::fmt;
use std::str::FromStr;

use hoist_core::{Error, Reference, Result};
use serde::{Deserialize, Deserializer};

use super::{invalid, values};

/// Matches every name.
const ALL: &str = "*";
/// A path below a pattern. It has two components, since Docker Hub puts `library` before one.
const BELOW: &str = "x/x";

/// A pattern of image names: a registry (`ghcr.io`), everything below a path there (`ghcr.io/acme`), one repository
/// (`docker.io/library/nginx`), or `*`, which matches every name.
///
/// It matches whole path components: `ghcr.io/acme` matches `ghcr.io/acme/app`, and not `ghcr.io/acme-labs/app`. It is
/// compared with the full name of an image. The case of the registry's name does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// In lower case. `None`: any registry.
    registry: Option<String>,
    /// The components of the path.
    path: Vec<String>,
}

impl NamePattern {
    /// Whether it matches this name.
    pub fn matches(&self, reference: &Reference) -> bool {
        let Some(registry) = &self.registry else { return true };
        let mut path = reference.repository().split('/');
        registry.eq_ignore_ascii_case(reference.registry())
            && self.path.iter().all(|component| path.next() == Some(component))
    }

    /// How specific it is: of two patterns that match a name, the deeper one is part of the other.
    pub(super) fn depth(&self) -> usize {
        self.registry.iter().len() + self.path.len()
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == ALL {
            return Ok(Self { registry: None, path: Vec::new() });
        }
        // A name that it matches begins with it. So it has neither a tag nor a digest, and it names its registry.
        let below = format!("{text}/{BELOW}");
        match below.parse::<Reference>() {
            Ok(name) if name.name() == below => {
                let path = name.repository().strip_suffix(BELOW).unwrap_or_default();
                let path = path.split_terminator('/').map(str::to_owned).collect();
                Ok(Self { registry: Some(name.registry().to_ascii_lowercase()), path })
            }
            _ => Err(unreadable(text)),
        }
    }
}

fn unreadable(text: &str) -> Error {
    invalid(format!("{text:?} is not a scope"))
        .with_help("write it as registry, registry/path, or \"*\" for all, such as docker.io/library")
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(registry) = &self.registry else { return f.write_str(ALL) };
        f.write_str(registry)?;
        self.path.iter().try_for_each(|component| write!(f, "/{component}"))
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        values::read(deserializer, str::parse)
    }
}
