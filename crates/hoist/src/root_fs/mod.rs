//! Bootable root file systems of images.

mod process;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_core::{PulledImage, Result};
use hoist_rootfs::{Format, RootFsOptions, Verity};
use hoist_store::{Layout, Lease};
use oci_spec::image::ImageConfiguration;

pub use self::process::Process;
use crate::hoist::Hoist;

/// A root file system, and the image that it was made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct RootFs {
    /// The image.
    pub image: PulledImage,
    /// The file to boot from. Do not write to one in the store: others may use it too.
    pub path: PathBuf,
    /// What the file is.
    pub format: Format,
    /// What dm-verity has to know, if the options want a hash tree.
    pub verity: Option<Verity>,
    /// What to run: the image's entrypoint, environment, user and so on.
    pub config: ImageConfiguration,
    /// Keeps the image for as long as it exists, and the file, if that is in the store.
    pub lease: Lease,
}

impl RootFs {
    /// What a guest's init has to run. `arguments` take the place of the image's `Cmd`, as those after the image do for
    /// `docker run`; none leave it.
    pub fn process(&self, arguments: &[String]) -> Process {
        Process::new(&self.config, arguments)
    }
}

impl Hoist {
    /// Pulls an image, and makes a root file system of it that a virtual machine can boot from. It is made once for equal
    /// options, whatever the number of tasks and processes that ask for it; the store keeps it as long as the image.
    ///
    /// ```no_run
    /// use hoist::{Hoist, RootFsOptions};
    ///
    /// # async fn run() -> hoist::Result<()> {
    /// let hoist = Hoist::builder().build()?;
    /// let root = hoist.root_fs("nginx:latest", &RootFsOptions::erofs()).await?;
    /// println!("boot from {}", root.path.display());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Fails as [`pull_leased`](Self::pull_leased) does. Fails with [`Malformed`](hoist_core::ErrorKind::Malformed) or
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) if a layer is not what the image says, or not what every
    /// program would unpack in the same way; with [`Unsupported`](hoist_core::ErrorKind::Unsupported) if the format
    /// cannot express a file; and with [`TooLarge`](hoist_core::ErrorKind::TooLarge) beyond a limit.
    pub async fn root_fs(&self, reference: &str, options: &RootFsOptions) -> Result<RootFs> {
        let (image, lease) = self.pull_leased(reference).await?;
        let cannot = |error: hoist_core::Error| {
            error.context(format!("cannot make a root file system of {}", image.reference))
        };
        let path = hoist_rootfs::root_fs(self.store(), &lease, options).await.map_err(cannot)?;
        let verity =
            if options.verity { Some(self.verity_of(path.clone()).await.map_err(cannot)?) } else { None };
        let config = self.config_of(image.path.clone()).await.map_err(cannot)?;
        Ok(RootFs { image, path, format: options.format, verity, config, lease })
    }

    /// Like [`root_fs`](Self::root_fs), but as a file or directory of the caller's at `path`, which the store does not keep. It is
    /// written beside it, and then replaces the file at `path` at once.
    ///
    /// A directory ([`Format::Directory`]) is made in this way only. It replaces nothing.
    ///
    /// Fails with [`InvalidConfig`](hoist_core::ErrorKind::InvalidConfig) if something other than a file is at `path`, and
    /// as [`root_fs`](Self::root_fs) does.
    pub async fn write_root_fs(
        &self,
        reference: &str,
        options: &RootFsOptions,
        path: &Path,
    ) -> Result<RootFs> {
        let (image, lease) = self.pull_leased(reference).await?;
        let stop = StopOnDrop(Arc::default());
        let (flag, format, options) = (stop.0.clone(), options.format, options.clone());
        let (layout, out) = (image.path.clone(), path.to_owned());
        let write = move |_: &_| {
            let verity = hoist_rootfs::write(Layout::open(&layout)?, &options, &out, &flag)?;
            Ok((verity, lease))
        };
        let cannot = |error: hoist_core::Error| {
            error.context(format!("cannot make a root file system of {}", image.reference))
        };
        let (verity, lease) = self.store().blocking(write).await.map_err(cannot)?;
        let config = self.config_of(image.path.clone()).await.map_err(cannot)?;
        Ok(RootFs { image, path: path.to_owned(), format, verity, config, lease })
    }

    async fn verity_of(&self, path: PathBuf) -> Result<Verity> {
        let failed = |cause| hoist_core::Error::io("cannot open a root file system", cause);
        self.store().blocking(move |_| Verity::read(&File::open(path).map_err(failed)?)).await
    }
}

/// Stops the work when its future is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
