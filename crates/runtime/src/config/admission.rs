//! The keys of `[admission]`, and what they admit.

use std::sync::Arc;

use hoist_core::{Admission, Candidate, Error, ErrorKind, Reference, Result};
use serde::Deserialize;

use super::{Config, Scope, invalid};

/// How many scopes a message lists.
const LISTED: usize = 5;

/// `[admission]`: which images may be handed out at all, by their names; whoever has them, and also where they are in the
/// store already. Nobody is asked for one that may not.
///
/// Of the scopes in [`allow`](Self::allow) and [`deny`](Self::deny) that have a name, the longest decides. What else an image
/// has to be, a program says with [`Builder::admission`](crate::Builder::admission).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AdmissionConfig {
    /// The scopes whose images may be handed out; those of no other may. An empty list allows none; by default all are
    /// allowed.
    pub allow: Option<Vec<Scope>>,
    /// The scopes whose images may not be handed out.
    pub deny: Vec<Scope>,
    /// The scopes whose images have to be named by a digest, since a tag can move.
    pub require_digest: Vec<Scope>,
}

impl AdmissionConfig {
    /// Fails where one key contradicts another.
    pub(super) fn check(&self) -> Result<()> {
        match self.allow.iter().flatten().find(|scope| self.deny.contains(scope)) {
            Some(scope) => Err(invalid(format!("{scope} is in `admission.allow` and in `admission.deny`"))
                .with_help("leave it out of one of them")),
            None => Ok(()),
        }
    }

    /// What has to be asked, if anything is said.
    pub(crate) fn rules(&self) -> Option<Arc<dyn Admission>> {
        (*self != Self::default()).then(|| Arc::new(Rules(self.clone())) as _)
    }
}

/// Admits what a configuration says.
struct Rules(AdmissionConfig);

impl Rules {
    fn check_scopes(&self, reference: &Reference) -> Result<()> {
        let denied = longest(&self.0.deny, reference);
        let Some(allow) = &self.0.allow else { return denied.map_or(Ok(()), |scope| Err(is_denied(scope))) };
        match (longest(allow, reference), denied) {
            (Some(allowed), Some(denied)) if allowed.depth() > denied.depth() => Ok(()),
            (_, Some(denied)) => Err(is_denied(denied)),
            (None, None) => Err(is_not_allowed(allow, reference)),
            (Some(_), None) => Ok(()),
        }
    }

    fn check_digest(&self, reference: &Reference) -> Result<()> {
        match longest(&self.0.require_digest, reference) {
            Some(scope) if reference.digest().is_none() => {
                let message = format!("`admission.require-digest` has {scope}, and a tag is no digest");
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
        self.check_scopes(reference).and_then(|()| self.check_digest(reference))
    }

    /// All that is said is said of names.
    fn admit(&self, _: &Candidate<'_>) -> Result<()> {
        Ok(())
    }
}

/// The scope that says most of this name.
fn longest<'a>(scopes: &'a [Scope], reference: &Reference) -> Option<&'a Scope> {
    scopes.iter().filter(|scope| scope.has(reference)).max_by_key(|scope| scope.depth())
}

fn is_denied(scope: &Scope) -> Error {
    refused(format!("`admission.deny` has {scope}")).with_help("choose another image, or take that scope out")
}

fn is_not_allowed(allow: &[Scope], reference: &Reference) -> Error {
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
    /// Hands out images of this scope, and of others that are so allowed, and no others.
    pub fn with_allowed(mut self, scope: Scope) -> Self {
        self.admission.allow.get_or_insert_default().push(scope);
        self
    }

    /// Hands out no images of this scope.
    pub fn with_denied(mut self, scope: Scope) -> Self {
        self.admission.deny.push(scope);
        self
    }

    /// Hands out images of this scope by their digests only.
    pub fn with_required_digest(mut self, scope: Scope) -> Self {
        self.admission.require_digest.push(scope);
        self
    }
}
