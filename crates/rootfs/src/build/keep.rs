//! Root file systems that a store keeps, beside the images that they are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_core::{Error, ErrorKind, Result};
use hoist_store::{Derived, DerivedClaim, Layout, Lease, Store};

use super::make::Plan;
use super::options::{Format, RootFsOptions};

/// The kind of derived content in a store.
const KIND: &str = "rootfs";

/// Sets a flag when it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The root file system of a leased image, as a file in its store. It is made once for equal options, whatever the number
/// of tasks and processes that ask for it, and stays as long as the image does. The file is read-only; one with added
/// files can be read by its owner only.
///
/// Dropping the future stops the work, and leaves nothing.
///
/// Fails as [`Plan::new`] and [`Plan::write`] do.
pub async fn root_fs(store: &Store, image: &Lease, options: &RootFsOptions) -> Result<PathBuf> {
    if options.format == Format::Directory {
        let message = "the store keeps no root file systems that are directories";
        let help = "say where to make it: `write_root_fs`, or `-o DIR`";
        return Err(Error::new(ErrorKind::InvalidConfig, message).with_help(help));
    }
    let (layout, options) = (store.image_path(image.digest()), options.clone());
    let plan = store.blocking(move |store| Plan::new(Layout::open(&layout)?, &options, store.root())).await?;
    let (name, file) = (plan.identity().hex().to_owned(), format!("rootfs.{}", plan.format()));
    if let Some(path) = store.derived(image, KIND, &name, &file)? {
        return Ok(path);
    }
    let image = image.again()?;
    let make = |store: Store| async move {
        match store.claim_derived(&image, KIND, &name, &file).await? {
            DerivedClaim::Present(path) => Ok(path),
            DerivedClaim::Make(derived) => make(plan, derived, image).await,
        }
    };
    store.owned(make).await
}

/// Makes it on a thread that may block. The lease is held to the end.
async fn make(plan: Plan, derived: Derived, image: Lease) -> Result<PathBuf> {
    let stop = StopOnDrop(Arc::default());
    let flag = stop.0.clone();
    hoist_store::blocking(move || {
        let (out, is_private) = (derived.create()?, plan.has_added_files());
        plan.write(&out, derived.scratch(), &flag)?;
        let path = derived.publish(&out, is_private);
        drop(image);
        path
    })
    .await
}
