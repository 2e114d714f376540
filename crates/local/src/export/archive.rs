//! The tar file. The same images give the same bytes: entries have no owner, no time, and a fixed order.

use std::io::{BufWriter, Read, Write};

use flate2::write::GzEncoder;
use hoist_core::{Error, ErrorKind, Result};
use tar::{Builder, EntryType, Header};
use zstd::stream::write::Encoder as ZstdEncoder;

use super::{ArchiveCompression, ArchiveFormat, Export, OCI_LAYOUT, cannot_write, names};

/// The compression level of zstd, its own default.
const ZSTD_LEVEL: i32 = 3;

const WRITE_BUFFER: usize = 256 << 10;

impl Export {
    /// Writes all images into one archive. Blocks; asynchronous code calls this on a blocking thread.
    ///
    /// The same images, names and options give the same bytes. The lists of the images come first, so that a reader of
    /// a pipe knows what the archive has before the first layer.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) if the format is [`Docker`](ArchiveFormat::Docker) and
    /// docker could run none of the images, and with [`DigestMismatch`](ErrorKind::DigestMismatch) if a blob of the
    /// store is damaged. The output is incomplete then.
    pub fn write_archive(
        &self,
        out: impl Write,
        format: ArchiveFormat,
        compression: ArchiveCompression,
    ) -> Result<()> {
        let mut out = BufWriter::with_capacity(WRITE_BUFFER, out);
        match compression {
            ArchiveCompression::None => self.write_tar(&mut out, format).map(drop)?,
            ArchiveCompression::Gzip => {
                let encoder = GzEncoder::new(&mut out, flate2::Compression::default());
                self.write_tar(encoder, format)?.finish().map(drop).map_err(cannot_write)?;
            }
            ArchiveCompression::Zstd => {
                let encoder = ZstdEncoder::new(&mut out, ZSTD_LEVEL).map_err(cannot_write)?;
                self.write_tar(encoder, format)?.finish().map(drop).map_err(cannot_write)?;
            }
        }
        out.flush().map_err(cannot_write)
    }

    fn write_tar<W: Write>(&self, out: W, format: ArchiveFormat) -> Result<W> {
        let docker = names::docker(&self.images);
        if format == ArchiveFormat::Docker && docker.is_none() {
            let message = "none of these is an image that docker could run";
            return Err(Error::new(ErrorKind::Unsupported, message).with_help("save it as an oci-archive"));
        }
        let mut tar = Builder::new(out);
        if format == ArchiveFormat::Oci {
            append(&mut tar, "oci-layout", OCI_LAYOUT)?;
            append(&mut tar, "index.json", &names::index(&self.images))?;
        }
        if let Some(docker) = docker {
            append(&mut tar, "manifest.json", &docker)?;
        }
        self.write_blobs(&mut tar, format)?;
        tar.into_inner().map_err(cannot_write)
    }

    fn write_blobs<W: Write>(&self, tar: &mut Builder<W>, format: ArchiveFormat) -> Result<()> {
        let mut algorithm = None;
        directory(tar, "blobs/")?;
        for (digest, content) in self.contents(format) {
            if algorithm.replace(digest.algorithm()) != Some(digest.algorithm()) {
                directory(tar, &format!("blobs/{}/", digest.algorithm().as_str()))?;
            }
            let (path, mut header) = (names::path(digest), header(EntryType::Regular, content.size(), 0o644));
            let write = |bytes: &mut dyn Read| tar.append_data(&mut header, path, bytes);
            self.copy(digest, &content, write)?;
        }
        Ok(())
    }
}

fn append<W: Write>(tar: &mut Builder<W>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, bytes.len() as u64, 0o644);
    tar.append_data(&mut header, path, bytes).map_err(cannot_write)
}

fn directory<W: Write>(tar: &mut Builder<W>, path: &str) -> Result<()> {
    tar.append_data(&mut header(EntryType::Directory, 0, 0o755), path, std::io::empty()).map_err(cannot_write)
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu(); // for the paths of sha512, which ustar has no room for
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
