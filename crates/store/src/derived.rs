//! Content that is made from an image, such as a root file system: each is made once, whoever asks for it.
//!
//! `derived/<kind>/<algorithm>/<hex>/<name>/` is one of them. The directory is its own lock: who makes the content holds
//! it, and it contains the content's file once that is whole. The image's lease keeps it from being deleted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hoist_core::{Error, ErrorKind, Result};

use crate::fs::dir::{Dir, fail};
use crate::fs::lock;
use crate::fs::scratch::Scratch;
use crate::paths::derived_path;
use crate::store::Store;
use crate::store::lease::Lease;

/// How often to look whether another one has made the content.
const POLL: Duration = Duration::from_millis(20);

/// What the caller must do about derived content.
#[derive(Debug)]
pub enum DerivedClaim {
    /// Nothing: this is its file.
    Present(PathBuf),
    /// Make it. All others wait for this caller.
    Make(Derived),
}

/// The right to make derived content. If it is dropped without [`publish`](Self::publish), the next one that asks for
/// the content makes it.
#[derive(Debug)]
#[must_use = "derived content is made by `publish`"]
pub struct Derived {
    file: String,
    scratch: Scratch,
    /// The content's directory, with an exclusive lock.
    own: Dir,
    /// Those of the image's derived content, with a shared lock.
    _image: Dir,
    /// Last in the drop order: the store is not idle before.
    store: Store,
}

impl Store {
    /// Looks for content that was made from this image: the file of this name, in the directory `name` of this kind.
    /// Reads nothing of it. `None`: it is not there.
    pub fn derived(&self, image: &Lease, kind: &str, name: &str, file: &str) -> Result<Option<PathBuf>> {
        let path = format!("{}/{name}/{file}", image_path(image, kind));
        Ok(self.dir().stat(&path)?.map(|_| self.root().join(path)))
    }

    /// Finds content that was made from this image, or claims the right to make it. If another task or process makes it,
    /// this waits until that ends, and takes over if it fails.
    ///
    /// `kind` and `name` consist of lower-case letters, digits and `-`.
    pub async fn claim_derived(
        &self,
        image: &Lease,
        kind: &str,
        name: &str,
        file: &str,
    ) -> Result<DerivedClaim> {
        loop {
            if let Some(path) = self.derived(image, kind, name, file)? {
                return Ok(DerivedClaim::Present(path));
            }
            let store = self.clone(); // not that of a call that ends with the claim
            let (path, name, file) = (image_path(image, kind), name.to_owned(), file.to_owned());
            if let Some(derived) = self.blocking(move |_| claim(&store, &path, &name, file)).await? {
                // It may have been made just before the lock.
                if derived.own.stat(&derived.file)?.is_none() {
                    return Ok(DerivedClaim::Make(derived));
                }
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

impl Derived {
    /// A directory for the caller's own files, which is removed with everything in it.
    pub fn scratch(&self) -> &Path {
        self.scratch.dir().path()
    }

    /// Creates the content's file.
    pub fn create(&self) -> Result<File> {
        let taken = || Error::new(ErrorKind::Storage, format!("{} is created twice", self.file));
        self.scratch.dir().create_new(&self.file)?.ok_or_else(taken)
    }

    /// Syncs the content's file, which then is read-only, gives it its name, and returns its path. If `is_private`, only
    /// its owner may read it.
    ///
    /// Fails if the [call](Store::call) of the handle that claimed it was dropped.
    pub fn publish(self, file: &File, is_private: bool) -> Result<PathBuf> {
        let (from, path) = (self.scratch.dir(), self.own.path().join(&self.file));
        from.seal(file, &path)?;
        if is_private {
            rustix::fs::fchmod(file, rustix::fs::Mode::RUSR).map_err(|e| fail("protect", &path, e))?;
        }
        let goes_on = self.store.goes_on()?;
        from.rename(&self.file, &self.own, &self.file)?;
        drop(goes_on);
        self.own.sync()?;
        Ok(path)
    }
}

/// `None`: another one makes it.
fn claim(store: &Store, path: &str, name: &str, file: String) -> Result<Option<Derived>> {
    store.dir().make(path)?;
    let Some(image) = lock::share(store.dir(), path)? else { return Ok(None) };
    let made = image.make(name)?;
    drop(made);
    let Some(own) = lock::try_own(&image, name)? else { return Ok(None) };
    let scratch = store.scratch()?;
    Ok(Some(Derived { file, scratch, own, _image: image, store: store.clone() }))
}

fn image_path(image: &Lease, kind: &str) -> String {
    format!("{}/{}", derived_path(kind, image.digest().algorithm()), image.digest().hex())
}
