//! Loading an archive: `hoist load`.

use std::fs::File;
use std::io::stdin;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;

use hoist::{Archive, Error, ErrorKind, Hoist, Result};

use crate::args::LoadArgs;
use crate::{exit, interrupt, output};

/// Loads the images of an archive, prints the path of each image's layout, and continues after an image that cannot
/// be loaded. The exit code is that of the first failure.
pub(super) async fn load(hoist: &Hoist, json: bool, args: &LoadArgs) -> Result<ExitCode> {
    let archive = open_archive(hoist, &args.path)?;
    let archive = match &args.name {
        Some(name) => archive.with_name(name)?,
        None => archive,
    };
    let load = async {
        let mut code = ExitCode::SUCCESS;
        for image in archive.load(hoist.store(), hoist.platform(), args.replace).await? {
            let printed = image.and_then(|image| {
                output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec())
            });
            if let Err(error) = printed.inspect_err(output::error)
                && code == ExitCode::SUCCESS
            {
                code = exit::code(error.kind());
            }
        }
        Ok(code)
    };
    let interrupted = || output::note("hoist: interrupted: no image got a name");
    interrupt::or_done(load, interrupted).await
}

/// Opens an archive. An archive from a pipe is first copied into an unnamed file on the store's file system,
/// because the images have to fit there as well.
fn open_archive(hoist: &Hoist, path: &Path) -> Result<Archive> {
    let (name, opened) = if path == Path::new("-") {
        (Path::new("what comes on stdin"), stdin().as_fd().try_clone_to_owned().map(File::from))
    } else {
        (path, File::open(path))
    };
    let failed =
        |cause| Error::new(ErrorKind::Storage, format!("cannot read {}", name.display())).with_source(cause);
    let mut file = opened.map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        let root = hoist.store().root();
        let failed =
            |cause| Error::io(format!("cannot keep {} in {}", name.display(), root.display()), cause);
        let mut kept = tempfile::tempfile_in(root).map_err(failed)?;
        std::io::copy(&mut file, &mut kept).map_err(failed)?;
        file = kept;
    }
    Archive::of_file(file, name)
}
