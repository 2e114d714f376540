//! Writes ext4 images, with the crate `mkext4`: for guests without EROFS, and for those that write.
//!
//! ext4 puts its metadata first, so all sizes must be known before any data. They are: the layers' data is on the disk
//! already.

mod acl;
mod declare;
mod file;
mod size;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hoist_core::{Error, ErrorKind, Result};
use mkext4::{FsBuilder, InodeCount, Layout, Options, RegionSink};

use self::declare::{Declared, declare};
use self::file::FileReader;
use self::size::{inodes, least};
use crate::tree::RootTree;

/// How often a size that was chosen here is raised, where it turned out too small.
const TRIES: u32 = 4;

impl RootTree {
    /// Writes the files as an ext4 image with this UUID into an empty file, and returns the image's size. Unused blocks
    /// are holes. `None`: a quarter more than the files need.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if the files do not fit into `size`; with
    /// [`Unsupported`](ErrorKind::Unsupported) if ext4, or `mkext4`, cannot express a file; and as the disk does.
    pub fn write_ext4(&self, out: &File, uuid: [u8; 16], size: Option<u64>) -> Result<u64> {
        let (layout, declared) = self.ext4_layout(uuid, size)?;
        self.fill(&layout, &declared, out).map_err(|cause| match cause {
            mkext4::Error::Io(cause) => Error::io("cannot write a root file system", cause),
            cause => unsupported("a root file system", cause),
        })?;
        Ok(layout.image_len())
    }

    fn ext4_layout(&self, uuid: [u8; 16], size: Option<u64>) -> Result<(Layout, Declared)> {
        if let Some(size) = size {
            return self.seal(uuid, size);
        }
        let mut size = least(self);
        for _ in 1..TRIES {
            match self.seal(uuid, size) {
                Err(error) if *error.kind() == ErrorKind::InvalidConfig => {
                    size = (size + size / 2).next_multiple_of(1 << 20);
                }
                outcome => return outcome,
            }
        }
        self.seal(uuid, size)
    }

    fn seal(&self, uuid: [u8; 16], size: u64) -> Result<(Layout, Declared)> {
        let size = size - size % crate::tree::BLOCK;
        let too_small = |cause: mkext4::Error| {
            let message = format!("the files of the image do not fit into an ext4 image of {size} bytes");
            Error::new(ErrorKind::InvalidConfig, message).with_help("give a larger `size`").with_source(cause)
        };
        let mut options = Options::new(size.max(crate::tree::BLOCK), uuid, 0);
        options.inodes = InodeCount::Exact(inodes(self, size));
        options.reserved_percent = 0;
        let mut builder = FsBuilder::new(options).map_err(too_small)?;
        let declared = declare(self, &mut builder)?;
        Ok((builder.seal().map_err(too_small)?, declared))
    }

    fn fill(&self, layout: &Layout, declared: &Declared, out: &File) -> mkext4::Result<()> {
        out.set_len(layout.image_len())?;
        let mut writer = layout.writer(Sparse(out))?;
        for &(handle, content) in &declared.files {
            writer.fill(handle, &mut FileReader::new(self, content))?;
        }
        writer.finish().map(drop)
    }
}

fn unsupported(path: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{path} cannot be put into an ext4 image");
    let help = "use the format `erofs`, which can have it";
    Error::new(ErrorKind::Unsupported, message).with_help(help).with_source(cause)
}

/// A file of zeros, into which zeros need not be written.
struct Sparse<'a>(&'a File);

impl RegionSink for Sparse<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.iter().all(|&byte| byte == 0) { Ok(()) } else { self.0.write_all_at(bytes, offset) }
    }

    fn zeros(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}
