//! Writing stored images to an archive or a layout: `hoist save`.

use std::fs::{self, File, Permissions};
use std::io::{self, IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist::{ArchiveCompression, ArchiveFormat, Error, ErrorKind, Export, Result};
use serde_json::json;
use tempfile::NamedTempFile;

use super::Context;
use crate::args::{Compress, SaveArgs, SaveFormat};
use crate::{interrupt, output};

/// Writes images to a file, a directory or stdout.
pub(super) async fn save(context: &Context<'_>, args: SaveArgs) -> Result<ExitCode> {
    check(&args)?;
    let save = async {
        let export = context.hoist.export(&args.references).await?;
        match (&args.output, args.format) {
            (Some(path), SaveFormat::OciDir) => write_directory(export, path).await?,
            (Some(path), _) if !is_special(path) => write_file(export, &args, path).await?,
            (Some(path), _) => {
                let file = File::options().write(true).open(path).map_err(|e| cannot_write(path, e))?;
                write_archive(export, &args, file).await?;
            }
            (None, _) => {
                let stdout = stdout().as_fd().try_clone_to_owned();
                let stdout = stdout.map_err(|cause| Error::io("cannot write to stdout", cause))?;
                return write_archive(export, &args, stdout.into()).await.map(|()| ExitCode::SUCCESS);
            }
        }
        let path = args.output.as_deref().unwrap_or(Path::new("-"));
        if context.json {
            output::result(true, &json!({"path": path, "references": args.references}), Vec::new)?;
        }
        Ok(ExitCode::SUCCESS)
    };
    let interrupted = || output::note("hoist: interrupted");
    interrupt::or_done(save, interrupted).await
}

fn check(args: &SaveArgs) -> Result<()> {
    let refused = |message: &str, help: &str| {
        Err(Error::new(ErrorKind::InvalidConfig, message.to_owned()).with_help(help.to_owned()))
    };
    match (&args.output, args.format, args.compress) {
        (None, SaveFormat::OciDir, _) => {
            refused("a directory cannot be written to stdout", "say where with -o")
        }
        (Some(_), SaveFormat::OciDir, Some(_)) => {
            refused("a directory cannot be compressed", "leave out --compress, or choose an archive")
        }
        (None, _, _) if stdout().is_terminal() => refused(
            "an archive would not be readable on a terminal",
            "write to a file with -o, or redirect stdout",
        ),
        _ => Ok(()),
    }
}

/// Whether a path is a pipe or a device, such as `/dev/stdout`, which is written to and not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir())
}

/// Writes an archive beside the path, readable for nobody else, and renames it when it is complete.
async fn write_file(export: Export, args: &SaveArgs, path: &Path) -> Result<()> {
    let failed = |cause| cannot_write(path, cause);
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // through a symlink
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new().prefix(".hoist-save-").tempfile_in(parent).map_err(failed)?;
    write_archive(export, args, partial.reopen().map_err(failed)?).await?;
    finish(&partial).map_err(failed)?;
    partial.persist(&target).map(drop).map_err(|cause| failed(cause.error))
}

/// Gives a complete file the permissions that any new file gets.
fn finish(partial: &NamedTempFile) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0o077);
    partial.as_file().set_permissions(Permissions::from_mode(0o666 & !umask))
}

async fn write_archive(export: Export, args: &SaveArgs, out: File) -> Result<()> {
    let format = match args.format {
        SaveFormat::DockerArchive => ArchiveFormat::Docker,
        _ => ArchiveFormat::Oci,
    };
    let compression = match args.compress {
        Some(Compress::Gzip) => ArchiveCompression::Gzip,
        Some(Compress::Zstd) => ArchiveCompression::Zstd,
        None => ArchiveCompression::None,
    };
    let wanted = Wanted::default();
    let out = WhileWanted { out, unwanted: wanted.0.clone() };
    on_a_thread(move || export.write_archive(out, format, compression)).await
}

async fn write_directory(export: Export, path: &Path) -> Result<()> {
    let path = path.to_owned();
    on_a_thread(move || export.write_directory(&path)).await
}

async fn on_a_thread(write: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|cause| Err(Error::new(ErrorKind::Storage, "writing stopped").with_source(cause)))
}

/// Tells the writing thread, when it is dropped, that nobody waits for its output any more.
#[derive(Default)]
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that fails as soon as its content is no longer wanted, so that Ctrl-C does not wait for the rest.
struct WhileWanted {
    out: File,
    unwanted: Arc<AtomicBool>,
}

impl Write for WhileWanted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unwanted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn cannot_write(path: &Path, cause: io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), cause).with_help("choose another path with -o")
}
