//! An OCI layout as a directory.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};

use super::{ArchiveFormat, Export, OCI_LAYOUT, names};

impl Export {
    /// Writes all images into one OCI layout at this path, which must not exist. Blocks; asynchronous code calls this
    /// on a blocking thread.
    ///
    /// The layout is written beside the path, and appears there by one rename. Fails with
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) if the path exists, and with
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) if a blob of the store is damaged.
    pub fn write_directory(&self, path: &Path) -> Result<()> {
        let fail = |cause| Error::io(format!("cannot write {}", path.display()), cause);
        if fs::symlink_metadata(path).is_ok() {
            let message = format!("{} exists already", path.display());
            return Err(
                Error::new(ErrorKind::InvalidConfig, message).with_help("choose another path, or remove it")
            );
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let partial = tempfile::Builder::new().prefix(".hoist-save-").tempdir_in(parent).map_err(fail)?;
        let write = |name: &str, bytes: &[u8]| fs::write(partial.path().join(name), bytes).map_err(fail);
        write("oci-layout", OCI_LAYOUT)?;
        write("index.json", &names::index(&self.images))?;
        for (digest, content) in self.contents(ArchiveFormat::Oci) {
            let file = partial.path().join(names::path(digest));
            file.parent().map_or(Ok(()), fs::create_dir_all).map_err(fail)?;
            self.copy(digest, &content, |bytes: &mut dyn Read| {
                io::copy(bytes, &mut File::create(&file)?).map(drop)
            })?;
        }
        fs::set_permissions(partial.path(), Permissions::from_mode(0o755)).map_err(fail)?;
        fs::rename(partial.path(), path).map_err(fail)?;
        _ = partial.keep(); // there is nothing at its old name any more
        Ok(())
    }
}
