//! Progress events: what a progress bar, a web page or a log needs to know of a pull.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{ErrorKind, Result};
use crate::reference::Reference;

/// Something that happened in a pull. Sizes are in bytes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A pull has begun.
    Started {
        /// What is pulled.
        reference: Reference,
    },
    /// The reference was resolved to a manifest.
    Resolved {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// A blob is in the store already, and is not fetched.
    BlobFound {
        /// Which one.
        digest: Digest,
        /// How large it is.
        size: u64,
    },
    /// A blob is about to be fetched.
    BlobStarted {
        /// Which one.
        digest: Digest,
        /// How large it is.
        size: u64,
    },
    /// More of a blob has arrived.
    BlobProgress {
        /// Which one.
        digest: Digest,
        /// How many bytes are here more than at the last such event of this blob; at first, those that an
        /// earlier pull had left.
        bytes: u64,
    },
    /// A blob is whole, and matched its digest.
    BlobVerified {
        /// Which one.
        digest: Digest,
    },
    /// A cache answers with what it has, and asks nobody.
    Hit {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// A cache answers with what it has, which may be out of date: it wanted to ask, and could not.
    ServedStale {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
        /// Why nobody could be asked.
        kind: ErrorKind,
    },
    /// The image is in the store.
    Committed {
        /// What was pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// An image had to go, with all its names, so that the store is no larger than it may be.
    Evicted {
        /// The platform's manifest.
        digest: Digest,
        /// How much disk space that freed.
        bytes: u64,
    },
    /// The pull has failed.
    Failed {
        /// What was pulled.
        reference: Reference,
        /// What went wrong; the error itself is what the call returned.
        kind: ErrorKind,
    },
}

/// Where events go: a function, or nowhere. Cheap to clone.
///
/// The function is called from within the pull, so it must return at once: hand the event on, do not
/// work on it.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Events go to this function.
    pub fn to(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Runs a pull with its beginning and its end reported. Its error then says what could not be pulled.
    /// `digest` is that of what was pulled.
    pub async fn observe<T>(
        &self,
        reference: &Reference,
        pull: impl Future<Output = Result<T>>,
        digest: impl FnOnce(&T) -> Digest,
    ) -> Result<T> {
        self.emit(|| Event::Started { reference: reference.clone() });
        match pull.await {
            Ok(image) => {
                self.emit(|| Event::Committed { reference: reference.clone(), digest: digest(&image) });
                Ok(image)
            }
            Err(error) => {
                self.emit(|| Event::Failed { reference: reference.clone(), kind: error.kind().clone() });
                Err(error.context(format!("cannot pull {reference}")))
            }
        }
    }

    /// Reports an event; it is not even made where nobody listens.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.0 {
            sink(event());
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Events(on)" } else { "Events(off)" })
    }
}
