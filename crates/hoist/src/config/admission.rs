//! The keys of `[admission]`, and the rules that they make.

use std::sync::Arc;

use hoist_core::{Admission, Candidate, Error, ErrorKind, Reference, Result};
use serde::Deserialize;

use super::{Config, NamePattern, invalid};

/// How many patterns a message lists.
const LISTED: usize = 5;

/// `[admission]`: which images may be handed out, by their names. This holds for every source of images, and for images
/// that the store already has. An image that may not be handed out is not requested from any source.
///
/// Of the patterns in [`allow`](Self::allow) and [`deny`](Self::deny) that match a name, the longest decides. A program
/// adds checks of its own with [`Builder::admission`](crate::Builder::admission).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AdmissionConfig {
    /// The patterns of names that may be handed out; no other names may. An empty list allows no image. By default all
    /// names are allowed.
    pub allow: Option<Vec<NamePattern>>,
    /// The patterns of names that may not be handed out.
    pub deny: Vec<NamePattern>,
    /// The patterns of names that need a digest, since a tag can move.
    pub require_digest: Vec<NamePattern>,
}

impl AdmissionConfig {
    /// Fails where one key contradicts another.
    pub(super) fn check(&self) -> Result<()> {
        match self.allow.iter().flatten().find(|pattern| self.deny.contains(pattern)) {
            Some(pattern) => {
                Err(invalid(format!("{pattern} is in `admission.allow` and in `admission.deny`"))
                    .with_help("leave it out of one of them"))
            }
            None => Ok(()),
        }
    }

    /// The rules of this table; `None` if it sets none.
    pub(crate) fn rules(&self) -> Option<Arc<dyn Admission>> {
        (*self != Self::default()).then(|| Arc::new(Rules(self.clone())) as _)
    }
}

/// Admits what a configuration says.
struct Rules(AdmissionConfig);

impl Rules {
    fn check_names(&self, reference: &Reference) -> Result<()> {
        let denied = longest(&self.0.deny, reference);
        let Some(allow) = &self.0.allow else {
            return denied.map_or(Ok(()), |pattern| Err(is_denied(pattern)));
        };
        match (longest(allow, reference), denied) {
            (Some(allowed), Some(denied)) if allowed.depth() > denied.depth() => Ok(()),
            (_, Some(denied)) => Err(is_denied(denied)),
            (None, None) => Err(is_not_allowed(allow, reference)),
            (Some(_), None) => Ok(()),
        }
    }

    fn check_digest(&self, reference: &Reference) -> Result<()> {
        match longest(&self.0.require_digest, reference) {
            Some(pattern) if reference.digest().is_none() => {
                let message = format!("`admission.require-digest` has {pattern}, and a tag is no digest");
                let name = reference.name();
                Err(refused(message).with_help(format!(
                    "pull it as {name}@sha256:...; `hoist resolve` tells the digest of a tag"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Admission for Rules {
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        self.check_names(reference).and_then(|()| self.check_digest(reference))
    }

    /// All rules here are about names, which were checked before.
    fn admit(&self, _: &Candidate<'_>) -> Result<()> {
        Ok(())
    }
}

/// The most specific pattern that matches this name.
fn longest<'a>(patterns: &'a [NamePattern], reference: &Reference) -> Option<&'a NamePattern> {
    patterns.iter().filter(|pattern| pattern.matches(reference)).max_by_key(|pattern| pattern.depth())
}

fn is_denied(pattern: &NamePattern) -> Error {
    refused(format!("`admission.deny` has {pattern}"))
        .with_help("choose another image, or take that scope out")
}

fn is_not_allowed(allow: &[NamePattern], reference: &Reference) -> Error {
    let more = if allow.len() > LISTED { ", ..." } else { "" };
    let listed: Vec<_> = allow.iter().take(LISTED).map(ToString::to_string).collect();
    let error = refused(format!("no scope of `admission.allow` has {}", reference.name()));
    match &listed[..] {
        [] => error.with_help("add one that it is in: the list is empty"),
        listed => error.with_help(format!(
            "choose what is in one of them ({}{more}), or add another",
            listed.join(", ")
        )),
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Refused, message)
}

impl Config {
    /// Hands out images that match this pattern or another allowed one, and no others.
    pub fn with_allowed(mut self, pattern: NamePattern) -> Self {
        self.admission.allow.get_or_insert_default().push(pattern);
        self
    }

    /// Hands out no images that match this pattern.
    pub fn with_denied(mut self, pattern: NamePattern) -> Self {
        self.admission.deny.push(pattern);
        self
    }

    /// Hands out images that match this pattern by their digests only.
    pub fn with_required_digest(mut self, pattern: NamePattern) -> Self {
        self.admission.require_digest.push(pattern);
        self
    }
}
