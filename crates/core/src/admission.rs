//! Admission: which images may be handed out.

use std::path::Path;

use crate::digest::Digest;
use crate::error::Result;
use crate::platform::Platform;
use crate::reference::Reference;

/// Decides which images may be handed out: by a list of names, or a check of signatures, for example.
///
/// A store is given a policy with `Store::with_admission`, and every registry that keeps its images there
/// applies it: before an image gets a name, and each time that an image is handed out by a name, wherever the
/// image came from. Calls that only look at stored images ([`is_cached`](crate::ImageRegistry::is_cached),
/// [`list_cached`](crate::ImageRegistry::list_cached)), or [remove](crate::ImageRegistry::remove) them, do not
/// ask the policy.
///
/// Answers are not cached: the policy may be asked several times in one pull, and is asked again in every later
/// one. A policy with costly answers should cache them by digest, because digests identify the content.
///
/// # Errors
///
/// After any error, no image is handed out and no name is written, and an existing name leads to the same image
/// as before. The pull fails with the policy's error. Return [`Refused`](crate::ErrorKind::Refused) to reject
/// an image, with [help](crate::Error::with_help) that says what to do next. If the policy cannot decide,
/// return [`Unavailable`](crate::ErrorKind::Unavailable), for example, so that the caller may retry. Do not
/// return [`NotFound`](crate::ErrorKind::NotFound): caches treat that as an answer of the registry and remember
/// it.
///
/// ```
/// use hoist_core::{Admission, Candidate, Error, ErrorKind, Result};
///
/// /// Admits images for which a file in `/etc/signed` exists.
/// struct Signed;
///
/// impl Admission for Signed {
///     fn admit(&self, image: &Candidate<'_>) -> Result<()> {
///         if std::fs::exists(format!("/etc/signed/{}", image.digest.hex())).unwrap_or(false) {
///             return Ok(());
///         }
///         let message = format!("nobody has signed {}", image.digest);
///         Err(Error::new(ErrorKind::Refused, message).with_help("have it signed"))
///     }
/// }
/// ```
pub trait Admission: Send + Sync {
    /// Fails if no image may be requested by this name.
    ///
    /// A pull calls this before it contacts anything else, and again with each image. It runs in asynchronous
    /// code, so it must return at once: check only the name. The default implementation admits every name.
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        _ = reference;
        Ok(())
    }

    /// Fails if this image may not be handed out by this name.
    ///
    /// This runs on a thread that may block, and no lock is held during the call. So it may read the image, or
    /// ask other services. A pull waits for it without a time limit. Cancelling the pull does not stop it.
    fn admit(&self, image: &Candidate<'_>) -> Result<()>;
}

/// An image that is about to get a name, or to be handed out by one.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The name.
    pub reference: &'a Reference,
    /// The platform that the image was chosen for.
    pub platform: &'a Platform,
    /// The digest that the name resolved to: the manifest's, or that of the index from which the manifest was
    /// chosen. Signatures are usually made for this digest.
    pub resolved: &'a Digest,
    /// The digest of the image's manifest.
    pub digest: &'a Digest,
    /// The image's layout directory, complete and verified.
    pub path: &'a Path,
}

impl<'a> Candidate<'a> {
    /// An image: its name, its platform, the digest that the name resolved to, the digest of its manifest, and
    /// its path.
    pub fn new(
        reference: &'a Reference,
        platform: &'a Platform,
        resolved: &'a Digest,
        digest: &'a Digest,
        path: &'a Path,
    ) -> Self {
        Self { reference, platform, resolved, digest, path }
    }
}
