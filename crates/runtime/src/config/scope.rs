//! Scopes: parts of all names, by their registry and the beginning of their path.

use std::fmt;
use std::str::FromStr;

use hoist_core::{Error, Reference, Result};
use serde::{Deserialize, Deserializer};

use super::{invalid, values};

/// Every name there is.
const ALL: &str = "*";
/// What stands for all names of a scope. Of two components, since Docker Hub has `library` before one.
const BELOW: &str = "x/x";

/// A part of all names: a registry (`ghcr.io`), what is below a path there (`ghcr.io/acme`), one repository
/// (`docker.io/library/nginx`), or `*`, which is all of them.
///
/// It is compared path component by path component: `ghcr.io/acme` has `ghcr.io/acme/app`, and not `ghcr.io/acme-labs/app`. Names
/// are as in a full reference; a registry's is the same in upper and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// In lower case. `None`: every one.
    registry: Option<String>,
    /// The components of the path.
    path: Vec<String>,
}

impl Scope {
    /// Whether this name is in it.
    pub fn has(&self, reference: &Reference) -> bool {
        let Some(registry) = &self.registry else { return true };
        let mut path = reference.repository().split('/');
        registry.eq_ignore_ascii_case(reference.registry())
            && self.path.iter().all(|component| path.next() == Some(component))
    }

    /// How much it says: of two that have a name, the one that says more is part of the other.
    pub(super) fn depth(&self) -> usize {
        self.registry.iter().len() + self.path.len()
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == ALL {
            return Ok(Self { registry: None, path: Vec::new() });
        }
        // What a scope has begins with it, and goes on: so it has neither a tag nor a digest, and names its registry.
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

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(registry) = &self.registry else { return f.write_str(ALL) };
        f.write_str(registry)?;
        self.path.iter().try_for_each(|component| write!(f, "/{component}"))
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        values::read(deserializer, str::parse)
    }
}
