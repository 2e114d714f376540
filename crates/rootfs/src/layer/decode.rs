//! Decompression: the content says how a layer is compressed, and never its media type.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use hoist_core::{Error, ErrorKind, Result};
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::limits::{Limits, too_large};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The first of the sixteen magic numbers of a skippable frame, without the four bits that differ.
const ZSTD_SKIPPABLE: &[u8] = &[0x50, 0x2a, 0x4d, 0x18];
/// Formats that are known, but that no layer may have.
const OTHERS: [(&[u8], &str); 3] = [(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4")];

/// Reads the uncompressed bytes of a layer that is plain, or compressed with gzip or zstd.
#[derive(Debug)]
pub struct Decoder<R: BufRead>(Format<R>);

enum Format<R: BufRead> {
    Plain(R),
    /// `None`: between members, or after an error.
    Gzip(Option<Box<GzDecoder<R>>>),
    Zstd(Box<ZstdDecoder<'static, R>>),
    /// The end of the last gzip member was read.
    Ended,
}

impl<R: BufRead> std::fmt::Debug for Format<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
            Self::Ended => "Ended",
        })
    }
}

impl<R: BufRead> Decoder<io::Chain<io::Cursor<Vec<u8>>, R>> {
    /// Looks at the first bytes.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) if they are those of another compression.
    pub fn new(mut source: R, limits: &Limits) -> Result<Self> {
        let mut first = Vec::with_capacity(8);
        (&mut source).take(6).read_to_end(&mut first).map_err(|e| Error::io("cannot read a layer", e))?;
        for (magic, name) in OTHERS {
            if first.starts_with(magic) {
                let message = format!("a layer is compressed with {name}");
                let help = "layers are plain, or compressed with gzip or zstd";
                return Err(Error::new(ErrorKind::Unsupported, message).with_help(help));
            }
        }
        let is_zstd = first.starts_with(ZSTD) || is_skippable(&first);
        let is_gzip = first.starts_with(GZIP);
        let source = io::Cursor::new(first).chain(source);
        Ok(Self(match () {
            () if is_gzip => Format::Gzip(Some(Box::new(GzDecoder::new(source)))),
            () if is_zstd => Format::Zstd(Box::new(zstd(source, limits)?)),
            () => Format::Plain(source),
        }))
    }
}

impl<R: BufRead> Decoder<R> {
    /// Reads the next bytes. 0: the layer has ended.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if the compressed data is damaged or truncated, and with
    /// [`TooLarge`](ErrorKind::TooLarge) if a zstd frame's window is larger than the limit.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.0 {
            Format::Plain(source) => read(source, buffer).map_err(|e| Error::io("cannot read a layer", e)),
            Format::Zstd(decoder) => read(decoder, buffer).map_err(zstd_error),
            Format::Gzip(_) => self.gunzip(buffer).map_err(|e| damaged("gzip", e)),
            Format::Ended => Ok(0),
        }
    }

    /// Reads one member after the other. What follows the last of them is no part of the layer.
    fn gunzip(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Format::Gzip(member) = &mut self.0 else { return Ok(0) };
            let Some(decoder) = member else { return Err(io::ErrorKind::InvalidData.into()) };
            let count = read(decoder, buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let mut source = member.take().expect("it was just read").into_inner();
            self.0 = if begins_member(&mut source)? {
                Format::Gzip(Some(Box::new(GzDecoder::new(source))))
            } else {
                Format::Ended
            };
        }
    }
}

fn begins_member(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match source.fill_buf() {
            Ok(bytes) => return Ok(bytes.first() == GZIP.first()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn is_skippable(first: &[u8]) -> bool {
    first.len() >= 4 && first[0] & 0xf0 == ZSTD_SKIPPABLE[0] && first[1..4] == ZSTD_SKIPPABLE[1..]
}

fn zstd<R: BufRead>(source: R, limits: &Limits) -> Result<ZstdDecoder<'static, R>> {
    let failed = |e| Error::io("cannot set up zstd", e);
    let mut decoder = ZstdDecoder::with_buffer(source).map_err(failed)?;
    decoder.window_log_max(limits.max_window.max(1024).ilog2().min(31)).map_err(failed)?;
    Ok(decoder)
}

fn zstd_error(cause: io::Error) -> Error {
    if cause.to_string().contains("requires too much memory") {
        return too_large("a layer's zstd frame refers too far back".to_owned(), "max_window")
            .with_source(cause);
    }
    damaged("zstd", cause)
}

/// What the source could not read is no damage of the layer.
fn damaged(format: &str, cause: io::Error) -> Error {
    use io::ErrorKind as Io;
    let is_decoders =
        matches!(cause.kind(), Io::InvalidInput | Io::InvalidData | Io::UnexpectedEof | Io::Other);
    if !is_decoders || cause.raw_os_error().is_some() {
        return Error::io("cannot read a layer", cause);
    }
    // An error of ours that the source passed through.
    match cause.downcast::<Error>() {
        Ok(error) => error,
        Err(cause) => {
            let message = format!("a layer's {format} data is damaged or truncated");
            Error::new(ErrorKind::Malformed, message).with_source(cause)
        }
    }
}

fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
