//! The admission policies of a store handle.

use std::fmt;
use std::sync::Arc;

use hoist_core::{Admission, Candidate, Reference, Result};

/// The policies that are asked before an image is handed out. Usually there are none, which costs nothing.
#[derive(Clone, Default)]
pub(crate) struct Admissions(Option<Arc<dyn Admission>>);

impl Admissions {
    /// These policies and one more.
    pub(crate) fn and(self, admission: Arc<dyn Admission>) -> Self {
        Self(Some(match self.0 {
            Some(before) => Arc::new(Both(before, admission)),
            None => admission,
        }))
    }

    pub(crate) fn get(&self) -> Option<&dyn Admission> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Admissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Admissions(some)" } else { "Admissions(none)" })
    }
}

/// Both policies must admit an image.
struct Both(Arc<dyn Admission>, Arc<dyn Admission>);

impl Admission for Both {
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        self.0.admit_reference(reference).and_then(|()| self.1.admit_reference(reference))
    }

    fn admit(&self, image: &Candidate<'_>) -> Result<()> {
        self.0.admit(image).and_then(|()| self.1.admit(image))
    }
}
