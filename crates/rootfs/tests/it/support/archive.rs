//! A tar archive, entry by entry, with whatever bytes a test wants in it.

const BLOCK: usize = 512;

/// An archive that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Archive(pub(crate) Vec<u8>);

/// An entry.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u64,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// What the header says, if that is not the size of the data.
    pub(crate) size: Option<u64>,
    pub(crate) device: (u64, u64),
    /// The records of an extended header.
    pub(crate) pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl File {
    pub(crate) fn new(kind: u8, path: impl AsRef<[u8]>) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            owner: (0, 0),
            mtime: 1_700_000_000,
            link: Vec::new(),
            data: Vec::new(),
            size: None,
            device: (0, 0),
            pax: Vec::new(),
        }
    }

    pub(crate) fn mode(self, mode: u64) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    pub(crate) fn data(self, data: impl AsRef<[u8]>) -> Self {
        Self { data: data.as_ref().to_vec(), ..self }
    }

    pub(crate) fn size(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    pub(crate) fn link(self, to: impl AsRef<[u8]>) -> Self {
        Self { link: to.as_ref().to_vec(), ..self }
    }

    pub(crate) fn device(self, major: u64, minor: u64) -> Self {
        Self { device: (major, minor), ..self }
    }

    pub(crate) fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }
}

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn dir(self, path: impl AsRef<[u8]>) -> Self {
        self.add(&File::new(b'5', path))
    }

    pub(crate) fn file(self, path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        self.add(&File::new(b'0', path).data(data))
    }

    pub(crate) fn symlink(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.add(&File::new(b'2', path).link(to))
    }

    pub(crate) fn hard_link(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.add(&File::new(b'1', path).link(to))
    }

    /// Adds an entry. Long names and owners go into an extended header.
    pub(crate) fn add(mut self, file: &File) -> Self {
        let mut file = file.clone();
        if file.path.len() > 100 {
            file.pax.push((b"path".to_vec(), std::mem::take(&mut file.path)));
        }
        if file.link.len() > 100 {
            file.pax.push((b"linkpath".to_vec(), std::mem::take(&mut file.link)));
        }
        if !file.pax.is_empty() {
            let records = file.pax.iter().flat_map(|(key, value)| record(key, value)).collect::<Vec<_>>();
            self = self.add(&File::new(b'x', "pax").data(records));
        }
        self.0.extend(header(&file));
        self.bytes(&file.data)
    }

    /// Adds bytes, filled up to a block.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Ends the archive.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 2 * BLOCK]);
        self.0
    }
}

/// A record of an extended header, whose length counts its own digits.
pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let length = (1..20)
        .map(|digits| rest.len() + digits)
        .find(|length| length.to_string().len() + rest.len() == *length);
    [length.unwrap().to_string().as_bytes(), &rest].concat()
}

fn header(file: &File) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &file.path);
    put(100, octal(file.mode, 7).as_slice());
    put(108, &octal(file.owner.0, 7));
    put(116, &octal(file.owner.1, 7));
    put(124, &octal(file.size.unwrap_or(file.data.len() as u64), 11));
    put(136, &octal(file.mtime, 11));
    put(156, &[file.kind]);
    put(157, &file.link);
    put(257, b"ustar\x0000");
    put(329, &octal(file.device.0, 7));
    put(337, &octal(file.device.1, 7));
    with_checksum(header)
}

/// A number in octal, or in base 256 if it is too large for that.
fn octal(number: u64, digits: usize) -> Vec<u8> {
    let text = format!("{number:0digits$o}\0").into_bytes();
    if text.len() == digits + 1 {
        return text;
    }
    let bytes = number.to_be_bytes();
    let mut field = vec![0; digits + 1];
    let from = field.len().saturating_sub(bytes.len());
    let skip = bytes.len().saturating_sub(field.len());
    field[from..].copy_from_slice(&bytes[skip..]);
    field[0] |= 0x80;
    field
}

pub(crate) fn with_checksum(mut header: [u8; BLOCK]) -> [u8; BLOCK] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
