//! The 512-byte header of a tar entry: V7, ustar and GNU.

use hoist_core::Result;

use super::malformed;

/// The size of a header, and the unit to which an entry's data is padded.
pub(crate) const BLOCK: usize = 512;

/// The largest size that the header's eleven octal digits can express.
pub(crate) const MAX_OCTAL: u64 = 0o777_7777_7777;

/// One header, whose checksum is right.
#[derive(Debug, Clone)]
pub(crate) struct Header([u8; BLOCK]);

impl Header {
    /// Checks the checksum. Old writers added the bytes up as signed numbers, so both sums are accepted.
    pub(crate) fn parse(bytes: &[u8; BLOCK]) -> Result<Self> {
        let header = Self(*bytes);
        let told = header.octal(148..156, "checksum")?;
        let is_sum = |at: usize| (148..156).contains(&at);
        let (mut unsigned, mut signed) = (0u64, 0i64);
        for (at, &byte) in bytes.iter().enumerate() {
            let byte = if is_sum(at) { b' ' } else { byte };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if told != unsigned && i64::try_from(told) != Ok(signed) {
            return Err(malformed("a tar header has a wrong checksum"));
        }
        Ok(header)
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The path, with the prefix that only ustar has: GNU keeps times in its place.
    pub(crate) fn path(&self) -> Vec<u8> {
        let (prefix, name) = (until_nul(&self.0[345..500]), until_nul(&self.0[..100]));
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u64> {
        self.number(100..108, "mode")
    }

    pub(crate) fn uid(&self) -> Result<u64> {
        self.number(108..116, "uid")
    }

    pub(crate) fn gid(&self) -> Result<u64> {
        self.number(116..124, "gid")
    }

    pub(crate) fn size(&self) -> Result<u64> {
        self.number(124..136, "size")
    }

    pub(crate) fn mtime(&self) -> Result<i64> {
        self.signed(136..148, "mtime")
    }

    pub(crate) fn device(&self) -> Result<(u64, u64)> {
        Ok((self.number(329..337, "device")?, self.number(337..345, "device")?))
    }

    /// The four entries of an old GNU sparse map, and whether more blocks of them follow.
    pub(crate) fn sparse(&self) -> Result<(Vec<(u64, u64)>, bool)> {
        Ok((sparse_entries(&self.0[386..482])?, self.0[482] != 0))
    }

    /// The size of the file whose sparse map this header has.
    pub(crate) fn real_size(&self) -> Result<u64> {
        self.number(483..495, "real size")
    }

    fn octal(&self, at: std::ops::Range<usize>, field: &str) -> Result<u64> {
        octal(&self.0[at], field)
    }

    fn number(&self, at: std::ops::Range<usize>, field: &str) -> Result<u64> {
        number(&self.0[at], field)
    }

    fn signed(&self, at: std::ops::Range<usize>, field: &str) -> Result<i64> {
        signed(&self.0[at], field)
    }
}

/// The entries of a further block of an old GNU sparse map, and whether yet another one follows.
pub(crate) fn sparse_block(block: &[u8; BLOCK]) -> Result<(Vec<(u64, u64)>, bool)> {
    Ok((sparse_entries(&block[..504])?, block[504] != 0))
}

/// Pairs of an offset and a length; an empty one ends them.
fn sparse_entries(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    bytes
        .chunks_exact(24)
        .take_while(|entry| entry[0] != 0)
        .map(|entry| Ok((number(&entry[..12], "sparse offset")?, number(&entry[12..], "sparse length")?)))
        .collect()
}

/// A number that is not negative.
fn number(bytes: &[u8], field: &str) -> Result<u64> {
    u64::try_from(signed(bytes, field)?)
        .map_err(|_| malformed(format!("the {field} of a tar header is negative")))
}

/// A number in octal, or, as GNU writes large and negative ones, in base 256 with the top bit set.
fn signed(bytes: &[u8], field: &str) -> Result<i64> {
    let too_large = || malformed(format!("the {field} of a tar header is too large"));
    if bytes[0] & 0x80 == 0 {
        return i64::try_from(octal(bytes, field)?).map_err(|_| too_large());
    }
    // The sign is in the second highest bit, as in two's complement without the marker.
    let first =
        if bytes[0] & 0x40 == 0 { i128::from(bytes[0] & 0x3f) } else { i128::from(bytes[0] | 0x80) - 256 };
    let value = bytes[1..].iter().fold(first, |value, &byte| (value << 8) | i128::from(byte));
    i64::try_from(value).map_err(|_| too_large())
}

fn octal(bytes: &[u8], field: &str) -> Result<u64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !is_padding(byte)).unwrap_or(bytes.len());
    let digits = bytes[start..].split(is_padding).next().unwrap_or_default();
    if !bytes[start + digits.len()..].iter().all(is_padding) {
        return Err(malformed(format!("the {field} of a tar header is not a number")));
    }
    digits.iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'7' => Ok(value * 8 + u64::from(digit - b'0')),
        _ => Err(malformed(format!("the {field} of a tar header is not a number"))),
    })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
