//! Copying stored images to another store: `hoist copy`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use hoist::{Error, ErrorKind, PulledImage, Result};

use super::Context;
use super::each::each;
use crate::args::CopyArgs;
use crate::{interrupt, output};

/// Copies images to another store, and prints the path of each image's layout there.
pub(super) async fn copy(context: &Context<'_>, args: CopyArgs) -> Result<ExitCode> {
    let Context { hoist, config, json, .. } = *context;
    let other = hoist::open(&config.clone().with_root(&args.to))?;
    let roots = [hoist, &other].map(|hoist| hoist.store().root().canonicalize().ok());
    if roots[0].is_some() && roots[0] == roots[1] {
        let message = format!("{} is the store that the images are in", args.to.display());
        return Err(Error::new(ErrorKind::InvalidConfig, message).with_help("choose another store with --to"));
    }
    let copy = async |reference: &str| hoist.copy_to(reference, other.store()).await;
    let print =
        |image: PulledImage| output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec());
    let interrupted = || output::note("hoist: interrupted: images that were copied before are kept");
    interrupt::or_done(each(&args.references, 1, copy, print), interrupted).await
}
