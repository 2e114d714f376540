//! Loading an archive: `hoist load`.

use std::fs::File;
use std::io::stdin;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;

use hoist::{Archive, Error, Hoist, Result};

use crate::{interrupt, output};

/// Loads the images of an archive, and prints the path of each image's layout.
pub(super) async fn load(hoist: &Hoist, json: bool, path: &Path, replace: bool) -> Result<ExitCode> {
    let archive = open_archive(hoist, path)?;
    let load = async {
        for image in archive.load(hoist.store(), hoist.platform(), replace).await? {
            output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec())?;
        }
        Ok(ExitCode::SUCCESS)
    };
    interrupt::or_done(load).await
}

/// Opens an archive. An archive from a pipe is first copied into an unnamed file on the store's file system,
/// because the images have to fit there as well.
fn open_archive(hoist: &Hoist, path: &Path) -> Result<Archive> {
    let (name, opened) = if path == Path::new("-") {
        (Path::new("what comes on stdin"), stdin().as_fd().try_clone_to_owned().map(File::from))
    } else {
        (path, File::open(path))
    };
    let failed = |cause| Error::io(format!("cannot read {}", name.display()), cause);
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
