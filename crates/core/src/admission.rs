//! Admission: which images may be handed out at all.

use std::path::Path;

use crate::digest::Digest;
use crate::error::Result;
use crate::platform::Platform;
use crate::reference::Reference;

/// Says which images may be handed out at all: a list of names, a check of signatures.
///
/// A store is given one (`Store::with_admission`), and every registry that keeps its images there asks it: before an
/// image gets a name, and each time that one is handed out by a name, whoever put it there. It is not asked by who only
/// looks at what is stored ([`is_cached`](crate::ImageRegistry::is_cached),
/// [`list_cached`](crate::ImageRegistry::list_cached)), or [removes](crate::ImageRegistry::remove) it.
///
/// What it answers is not remembered: it may be asked several times in one pull, and is asked in every later one. One
/// whose answer is costly remembers it by the digests, which say what the content is.
///
/// # Errors
///
/// Whatever its error, nothing is handed out, no name is written, and a name that was there leads to what it did
/// before. The pull fails with that error: [`Refused`](crate::ErrorKind::Refused) where it says no, with
/// [help](crate::Error::with_help) that says what to do next. Where it cannot tell, say
/// [`Unavailable`](crate::ErrorKind::Unavailable), which who pulls may try again. Not
/// [`NotFound`](crate::ErrorKind::NotFound): that is remembered as the registry's word.
///
/// ```
/// use hoist_core::{Admission, Candidate, Error, ErrorKind, Result};
///
/// /// Admits what a file beside it has been signed for.
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
    /// Fails where no image may be asked for by this name.
    ///
    /// It is asked before anybody else is, and again with each image. It is called from asynchronous code, so it must
    /// return at once: it looks at the name, and at nothing else. By default every name may be asked for.
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        _ = reference;
        Ok(())
    }

    /// Fails where this image may not be handed out by this name.
    ///
    /// It is called on a thread that may block, and no lock is held meanwhile: it may read the image, and ask others. A
    /// pull waits for it however long that takes, and does not end it when it is given up.
    fn admit(&self, image: &Candidate<'_>) -> Result<()>;
}

/// An image that is to get a name, or to be handed out by one.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The name.
    pub reference: &'a Reference,
    /// The platform that it was chosen for.
    pub platform: &'a Platform,
    /// What the name was resolved to: the manifest, or the index that it was chosen from. That is what signatures are
    /// made for, as a rule.
    pub resolved: &'a Digest,
    /// The digest of its manifest.
    pub digest: &'a Digest,
    /// Its layout directory: whole, and verified.
    pub path: &'a Path,
}

impl<'a> Candidate<'a> {
    /// An image: its name, the platform, what the name was resolved to, the digest of its manifest, and where it is.
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
