//! The floor: what it takes to fetch, hash and write an image's blobs, and nothing more.
//!
//! Some connections take pieces of blobs in their order. A piece is written where it belongs; the one at a blob's
//! front is hashed on the way, and what others brought early is read back when the front reaches it. There are no
//! names, no layout and no back-off here, and it trusts the registry with everything but digests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::failure::{Doing, Failure, Result};

/// What is asked for at a time: as the best of the clients that ask for ranges.
const PIECE: u64 = 8 << 20;
/// What is written and hashed at a time: fits in the cache of a core.
const BUFFER: usize = 256 << 10;
/// How often a piece is asked for again.
const RETRIES: usize = 10;

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

/// Fetches the image into files of `dir`, one for each blob.
pub(crate) fn fetch(reference: &str, dir: &Path, connections: usize, synced: bool) -> Result<()> {
    let unusable = || Failure::new(format!("{reference:?} is no host/repository:tag"));
    let (host, name) = reference.split_once('/').ok_or_else(unusable)?;
    let (repository, tag) = name.rsplit_once(':').ok_or_else(unusable)?;
    fs::create_dir_all(dir).doing("making the destination")?;
    let mut connection = Connection::new(host);
    let bytes = connection.document(&format!("/v2/{repository}/manifests/{tag}")).doing("the manifest")?;
    fs::write(dir.join("manifest.json"), &bytes).doing("writing the manifest")?;
    let manifest: Manifest = serde_json::from_slice(&bytes).doing("reading the manifest")?;
    let mut blobs: Vec<Blob> = Vec::new();
    for descriptor in manifest.layers.into_iter().chain([manifest.config]) {
        blobs.push(Blob::create(descriptor, repository, dir, synced).doing("making a file")?);
    }
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.descriptor.size)); // what takes longest first
    fetch_all(connection, connections, &blobs).doing("fetching the blobs")?;
    if synced {
        File::open(dir).and_then(|dir| dir.sync_all()).doing("syncing the destination")?;
    }
    Ok(())
}

fn fetch_all(first: Connection<'_>, connections: usize, blobs: &[Blob]) -> io::Result<()> {
    let pieces: Vec<(&Blob, u64, u64)> = blobs.iter().flat_map(Blob::pieces).collect();
    let next = AtomicUsize::new(0);
    let host = first.host;
    let work = |mut connection: Connection<'_>| {
        while let Some(&(blob, start, end)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            blob.fetch(&mut connection, start, end)?;
        }
        Ok(())
    };
    let work = &work;
    std::thread::scope(|scope| {
        let others = (1..connections.min(pieces.len())).map(|_| scope.spawn(|| work(Connection::new(host))));
        let others: Vec<_> = others.collect();
        let mine = work(first);
        others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|_| Err(Error::other("panicked"))))
            .fold(mine, io::Result::and)
    })
}

/// A blob on its way.
struct Blob {
    descriptor: Descriptor,
    path: String,
    file: File,
    synced: bool,
    front: Mutex<Front>,
}

/// What of a blob is hashed, and what waits for that.
#[derive(Default)]
struct Front {
    hasher: Sha256,
    hashed: u64,
    /// Written, but not hashed: where to where.
    early: BTreeMap<u64, u64>,
    /// Whether somebody hashes just now.
    busy: bool,
}

impl Blob {
    fn create(descriptor: Descriptor, repository: &str, dir: &Path, synced: bool) -> io::Result<Self> {
        let path = format!("/v2/{repository}/blobs/{}", descriptor.digest);
        let file = dir.join(descriptor.digest.replace(':', "-"));
        let file = File::options().read(true).write(true).create_new(true).open(file)?;
        Ok(Self { descriptor, path, file, synced, front: Mutex::default() })
    }

    fn pieces(&self) -> impl Iterator<Item = (&Self, u64, u64)> {
        let size = self.descriptor.size;
        (0..size.div_ceil(PIECE)).map(move |n| (self, n * PIECE, size.min((n + 1) * PIECE)))
    }

    /// Fetches a piece; what breaks off is asked for again.
    fn fetch(&self, connection: &mut Connection<'_>, mut start: u64, end: u64) -> io::Result<()> {
        let mut retries = 0;
        while let Err(error) = self.try_fetch(connection, &mut start, end) {
            connection.stream = None;
            retries += 1;
            if retries > RETRIES || error.kind() == io::ErrorKind::InvalidData {
                return Err(error);
            }
        }
        Ok(())
    }

    fn try_fetch(&self, connection: &mut Connection<'_>, start: &mut u64, end: u64) -> io::Result<()> {
        let size = self.descriptor.size;
        let range = (end - *start < size).then(|| format!("Range: bytes={start}-{}\r\n", end - 1));
        let body = connection.get(&self.path, &range.unwrap_or_default())?;
        let mut buffer = vec![0; BUFFER];
        while *start < end {
            let most = BUFFER.min(usize::try_from(end - *start).unwrap_or(BUFFER));
            let read = fill(body, &mut buffer[..most])?;
            self.file.write_all_at(&buffer[..read], *start)?;
            self.take(*start, &buffer[..read])?;
            *start += read as u64;
            if read < most {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Hashes what is at the front, and what follows it.
    fn take(&self, start: u64, bytes: &[u8]) -> io::Result<()> {
        let end = start + bytes.len() as u64;
        let mut front = self.front();
        if front.busy || front.hashed != start {
            front.early.insert(start, end); // whoever is busy will see it
            return Ok(());
        }
        self.catch_up(front, bytes)
    }

    fn catch_up(&self, mut front: MutexGuard<'_, Front>, bytes: &[u8]) -> io::Result<()> {
        front.busy = true;
        let mut hasher = std::mem::take(&mut front.hasher);
        let mut at = front.hashed;
        drop(front);
        hasher.update(bytes);
        at += bytes.len() as u64;
        let mut buffer = Vec::new();
        loop {
            let mut front = self.front();
            let Some(end) = front.early.remove(&at) else {
                front.hashed = at;
                front.busy = false;
                front.hasher = hasher;
                return if at == self.descriptor.size { self.finish(front) } else { Ok(()) };
            };
            drop(front);
            buffer.resize(usize::try_from(end - at).map_err(Error::other)?, 0);
            self.file.read_exact_at(&mut buffer, at)?;
            hasher.update(&buffer);
            at = end;
        }
    }

    fn finish(&self, mut front: MutexGuard<'_, Front>) -> io::Result<()> {
        let hash = std::mem::take(&mut front.hasher).finalize();
        if self.descriptor.digest != format!("sha256:{}", hex::encode(hash)) {
            return Err(Error::new(io::ErrorKind::InvalidData, "a digest is wrong"));
        }
        if self.synced { self.file.sync_all() } else { Ok(()) }
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many bytes as there are and as fit.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A connection that is kept for the next request.
struct Connection<'a> {
    host: &'a str,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Connection<'a> {
    fn new(host: &'a str) -> Self {
        Self { host, stream: None }
    }

    /// The whole body of a small answer.
    fn document(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";
        for _ in 0..RETRIES {
            let body = match self.request(path, accept) {
                Ok((stream, length)) => {
                    let mut bytes = vec![0; usize::try_from(length).map_err(Error::other)?];
                    stream.read_exact(&mut bytes).map(|()| bytes)
                }
                Err(error) => Err(error),
            };
            match body {
                Ok(bytes) => return Ok(bytes),
                Err(_) => self.stream = None,
            }
        }
        Err(Error::other("cannot be fetched"))
    }

    fn get(&mut self, path: &str, header: &str) -> io::Result<&mut BufReader<TcpStream>> {
        Ok(self.request(path, header)?.0)
    }

    /// Asks, reads the answer's head, and gives what its body is read from, and how long that is.
    fn request(&mut self, path: &str, header: &str) -> io::Result<(&mut BufReader<TcpStream>, u64)> {
        let host = self.host;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(host)?;
                stream.set_nodelay(true)?;
                none.insert(BufReader::new(stream))
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length, mut is_first) = (String::new(), None, true);
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if std::mem::take(&mut is_first) && !line.starts_with("HTTP/1.1 20") {
                return Err(Error::new(io::ErrorKind::InvalidData, format!("GET {path}: {line}")));
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok();
                }
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        Ok((stream, length.ok_or_else(|| Error::other("an answer without a length"))?))
    }
}
