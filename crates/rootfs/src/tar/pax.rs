//! PAX extended headers: records of the form `LENGTH KEY=VALUE\n`.

use hoist_core::{Error, ErrorKind, Result};

use super::{Time, malformed};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the extended header of an entry says. The last record of a key counts.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Time>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: PaxSparse,
}

/// What it says of a sparse file, in any of the three versions of the format.
#[derive(Debug, Default)]
pub(crate) struct PaxSparse {
    pub(crate) version: (u64, u64),
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// The numbers of the map: offsets and lengths in turn.
    pub(crate) map: Vec<u64>,
    pub(crate) is_sparse: bool,
}

impl Pax {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut pax = Self::default();
        for record in records(bytes) {
            let (key, value) = record?;
            pax.take(key, value)?;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(name) = key.strip_prefix(XATTR) {
            self.xattrs.retain(|(known, _)| known != name);
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"mtime" => self.mtime = time(value)?,
            _ => self.sparse.take(key, value)?,
        }
        Ok(())
    }
}

impl PaxSparse {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let Some(key) = key.strip_prefix(b"GNU.sparse.") else { return Ok(()) };
        self.is_sparse = true;
        match key {
            b"major" => self.version.0 = number(value)?.unwrap_or_default(),
            b"minor" => self.version.1 = number(value)?.unwrap_or_default(),
            b"name" => self.name = text(value)?,
            b"size" | b"realsize" => self.real_size = number(value)?,
            b"offset" | b"numbytes" => self.map.extend(number(value)?),
            b"map" => self.map = value.split(|&byte| byte == b',').map(required).collect::<Result<_>>()?,
            _ => {}
        }
        Ok(())
    }
}

/// Refuses a global header that would change the entries after it. Programs disagree about those, so what one of
/// them checked would not be what another one unpacks.
pub(crate) fn check_global(bytes: &[u8]) -> Result<()> {
    let changes = |key: &[u8]| {
        let fields: [&[u8]; 6] = [b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"];
        fields.contains(&key) || key.starts_with(XATTR) || key.starts_with(b"GNU.sparse.")
    };
    for record in records(bytes) {
        if changes(record?.0) {
            let message = "a global PAX header sets fields of the entries after it";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// The keys and values, in their order.
fn records(mut rest: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = split_record(rest);
        rest = record.map_or(&[], |(_, _, after)| after);
        Some(
            record
                .map(|(key, value, _)| (key, value))
                .ok_or_else(|| malformed("a PAX record is not well-formed")),
        )
    })
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(number(&bytes[..space]).ok()??).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// An empty value means that the header's own field counts.
fn text(value: &[u8]) -> Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err(malformed("a path in a PAX header contains a NUL byte"));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn number(value: &[u8]) -> Result<Option<u64>> {
    if value.is_empty() { Ok(None) } else { required(value).map(Some) }
}

pub(crate) fn required(value: &[u8]) -> Result<u64> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let parsed = digits.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| malformed("a number in a PAX header is not one"))
}

/// A decimal fraction of seconds since 1970. Digits beyond the nanosecond are cut off towards the past.
fn time(value: &[u8]) -> Result<Option<Time>> {
    if value.is_empty() {
        return Ok(None);
    }
    let (is_negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let whole = required(parts.next().unwrap_or_default())?;
    let whole = i64::try_from(whole).map_err(|_| malformed("a time in a PAX header is too large"))?;
    let (nanos, is_cut) = fraction(parts.next().unwrap_or_default())?;
    Ok(Some(if is_negative { before(whole, nanos, is_cut) } else { Time { secs: whole, nanos } }))
}

/// The time that lies this long before 1970.
fn before(secs: i64, nanos: u32, is_cut: bool) -> Time {
    match nanos + u32::from(is_cut) {
        0 => Time { secs: -secs, nanos: 0 },
        nanos => Time { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    }
}

/// The nanoseconds, and whether there was more.
fn fraction(digits: &[u8]) -> Result<(u32, bool)> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed("a time in a PAX header is not a number"));
    }
    let digit = |at| digits.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let nanos = (0..9).fold(0, |nanos, at| nanos * 10 + digit(at));
    Ok((nanos, digits.iter().skip(9).any(|&digit| digit != b'0')))
}
