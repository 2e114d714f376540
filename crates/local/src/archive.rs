//! Archives: an OCI image layout in a tar file, as `skopeo copy ... oci-archive:` and `docker save` write it.
//!
//! Nothing is unpacked. The archive is walked through once, and its blobs are then read from where they are in it,
//! verified like any others. One that holds what no layout has (a link, a device, a path that leads elsewhere, a
//! name twice) is refused whole: whoever made it meant something else by it (CVE-2025-62518, RUSTSEC-2026-0067).

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Seek};
use std::iter::successors;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{
    Candidate, Descriptor, Digest, Document, Error, ErrorKind, Events, MAX_DOCUMENT, Manifest, Platform,
    PulledImage, Reference, Result, config_platform,
};
use hoist_store::{Lease, Staging, Store, Verify, WriteQueue, blocking};
use tar::EntryType;

use crate::naming::Naming;

const MAX_ENTRIES: usize = 100_000; // far more than any image has
const PIECE: usize = 256 << 10;

/// How files begin that are compressed, with what, and what takes that away.
const COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// An archive, open for reading. It must not be changed meanwhile: what was changed is found out by its digest.
#[derive(Debug, Clone)]
pub struct Archive {
    path: PathBuf,
    file: Arc<File>,
    /// Where each file begins in the archive, and how many bytes it has.
    files: Arc<HashMap<String, (u64, u64)>>,
    naming: Naming,
}

/// An image in an archive, and what it is to be called.
struct Entry {
    reference: Reference,
    manifest: Descriptor,
    bytes: Vec<u8>,
    document: Manifest,
    index: Option<(Digest, Vec<u8>)>,
}

impl Archive {
    /// Walks through an archive. A bare tag in it is one of the repository that is called as the file is, without
    /// what follows the first dot.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where it is no archive, or holds what no layout has; with
    /// [`Unsupported`](ErrorKind::Unsupported) where it is none of an OCI layout, or is compressed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| cannot_read(path, cause))?;
        Self::of_file(file, path)
    }

    /// Walks through one that is open already, such as a temporary file that a pipe was read into; `path` is what it is
    /// called.
    ///
    /// Fails as [`open`](Self::open) does.
    pub fn of_file(mut file: File, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |cause| cannot_read(path, cause);
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::new(
                ErrorKind::Malformed,
                format!("{} is not a regular file", path.display()),
            ));
        }
        file.rewind().map_err(failed)?;
        if let Some((compression, tool)) = compression(&file).map_err(failed)? {
            let message = format!("{} is compressed with {compression}", path.display());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_help(format!("decompress it first, with `{tool}`")));
        }
        let files = walk(&file).map_err(|error| error.context(format!("{} is refused", path.display())))?;
        if !files.contains_key("oci-layout") || !files.contains_key("index.json") {
            let message = format!("{} is not an archive of an OCI image layout", path.display());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_help("write it anew with docker 25 or later, or with skopeo as oci-archive"));
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let naming = Naming::of_directory(Path::new(name.split('.').next().unwrap_or_default()));
        Ok(Self { path: path.to_owned(), file: Arc::new(file), files: Arc::new(files), naming })
    }

    /// Takes the images for this platform into the store, under their names in the archive, which are returned.
    ///
    /// A name that leads to another image already is not moved, unless that is `replace`d: then nothing is loaded at
    /// all (CVE-2026-50195). Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) where none is for this
    /// platform, and as a pull does where a blob is not what it should be. Where one image is not
    /// [admitted](Store::with_admission), none gets a name.
    pub async fn load(&self, store: &Store, platform: &Platform, replace: bool) -> Result<Vec<PulledImage>> {
        let (this, platform) = (self.clone(), platform.clone());
        store.owned(|store| async move { this.load_into(&store, &platform, replace).await }).await
    }

    async fn load_into(&self, store: &Store, platform: &Platform, replace: bool) -> Result<Vec<PulledImage>> {
        let (this, wanted, there) = (self.clone(), platform.clone(), store.clone());
        let entries = blocking(move || {
            let entries = this.entries(&wanted)?;
            entries.iter().try_for_each(|entry| there.admit_reference(&entry.reference))?;
            if !replace {
                entries.iter().try_for_each(|entry| entry.check_name(&there, &wanted))?;
            }
            Ok(entries)
        });
        let mut staged = Vec::new();
        for entry in entries.await.map_err(|error| self.refused(error))? {
            let lease = self.take(store, &entry).await.map_err(|error| self.refused(error))?;
            staged.push((entry, lease));
        }
        // Only now, when all is there and may be, does anything get a name.
        let platform = platform.clone();
        let named = store.blocking(move |store| {
            staged.iter().try_for_each(|(entry, _)| entry.admit(store, &platform))?;
            staged.iter().map(|(entry, lease)| entry.name(store, &platform, lease)).collect()
        });
        named.await.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: Error) -> Error {
        error.context(format!("cannot load {}", self.path.display()))
    }

    fn entries(&self, platform: &Platform) -> Result<Vec<Entry>> {
        let bytes = self.read("index.json")?;
        let Document::Index(index) = Document::parse(&bytes, None)? else {
            return Err(Error::new(ErrorKind::Malformed, "its index.json is not an index"));
        };
        let (mut entries, mut missing) = (Vec::new(), Vec::new());
        for descriptor in index.manifests {
            match self.entry(descriptor, platform) {
                Ok(entry) => entries.push(entry),
                Err(error) => match error.kind() {
                    ErrorKind::PlatformMissing { available } => missing.extend(available.clone()),
                    _ => return Err(error),
                },
            }
        }
        if entries.is_empty() { Err(platform.missing(missing)) } else { Ok(entries) }
    }

    /// The image for the platform in an entry of the index.
    fn entry(&self, descriptor: Descriptor, platform: &Platform) -> Result<Entry> {
        let reference = self.naming.name(&descriptor)?;
        let bytes = self.read_blob(&descriptor)?;
        match Document::parse(&bytes, Some(&descriptor.media_type))? {
            Document::Manifest(document) => {
                let manifest = self.fit(descriptor, &document, platform)?;
                Ok(Entry { reference, manifest, bytes, document, index: None })
            }
            Document::Index(index) => {
                let chosen = index.choose(platform)?.clone();
                let index = Some((descriptor.digest, bytes));
                let bytes = self.read_blob(&chosen)?;
                let Document::Manifest(document) = Document::parse(&bytes, Some(&chosen.media_type))? else {
                    let message = format!("{} is an index within an index", chosen.digest);
                    return Err(Error::new(ErrorKind::Unsupported, message));
                };
                let manifest = self.fit(chosen, &document, platform)?;
                Ok(Entry { reference, manifest, bytes, document, index })
            }
            other => Err(Error::new(ErrorKind::Unsupported, format!("unknown document {other:?}"))),
        }
    }

    /// The manifest with its platform, if it is for this one: by its entry, or else by its configuration.
    fn fit(&self, mut manifest: Descriptor, document: &Manifest, platform: &Platform) -> Result<Descriptor> {
        if let Some(made_for) = &manifest.platform {
            return if platform.accepts(made_for) {
                Ok(manifest)
            } else {
                Err(platform.missing(vec![made_for.clone()]))
            };
        }
        if !document.is_runnable() {
            return Ok(manifest);
        }
        let config = self.read_blob(&document.config)?;
        platform.check(&config)?;
        manifest.platform = config_platform(&config);
        Ok(manifest)
    }

    async fn take(&self, store: &Store, entry: &Entry) -> Result<Lease> {
        let staging = store.stage(Verify::Cached)?;
        staging.check_space(entry.document.blobs())?;
        staging.put(&entry.manifest, entry.bytes.clone()).await?;
        for blob in entry.document.blobs() {
            self.bring(&staging, blob).await?;
        }
        staging.commit(entry.manifest.clone().tagged(&entry.reference)).await
    }

    async fn bring(&self, staging: &Staging, blob: &Descriptor) -> Result<()> {
        let (start, size) = self.find(&blob_name(&blob.digest))?;
        blob.expect_size(size)?;
        let write = |queue: WriteQueue, missing: Vec<Range<u64>>| async move {
            for range in missing {
                for offset in range.clone().step_by(PIECE) {
                    let (this, length) = (self.clone(), (PIECE as u64).min(range.end - offset));
                    let piece = blocking(move || this.read_at(start + offset, length)).await?;
                    queue.write(offset, piece.into()).await?;
                }
            }
            Ok(())
        };
        staging.fetch(blob, &Events::default(), write).await.map(drop)
    }

    fn read_blob(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        let bytes = self.read(&blob_name(&blob.digest))?;
        blob.verify(&bytes)?;
        Ok(bytes)
    }

    /// A document.
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (start, size) = self.find(name)?;
        if size > MAX_DOCUMENT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("{name} has more than {MAX_DOCUMENT} bytes"),
            ));
        }
        self.read_at(start, size)
    }

    fn read_at(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).expect("a piece fits into memory")];
        self.file.read_exact_at(&mut bytes, start).map_err(|cause| cannot_read(&self.path, cause))?;
        Ok(bytes)
    }

    fn find(&self, name: &str) -> Result<(u64, u64)> {
        let missing =
            || Error::new(ErrorKind::NotFound, format!("the archive names {name} and does not have it"));
        self.files.get(name).copied().ok_or_else(missing)
    }
}

impl Entry {
    /// Fails where the name leads to another image already.
    fn check_name(&self, store: &Store, platform: &Platform) -> Result<()> {
        match store.peek(&self.reference, platform)? {
            Some(there) if there.digest != self.manifest.digest => {
                let Self { reference, manifest, .. } = self;
                let message =
                    format!("{reference} is {} here, and {} in the archive", there.digest, manifest.digest);
                Err(Error::new(ErrorKind::Unsupported, message)
                    .with_help("remove that first, or load with `replace`; nothing was loaded"))
            }
            _ => Ok(()),
        }
    }

    /// Fails where the image may not have its name.
    fn admit(&self, store: &Store, platform: &Platform) -> Result<()> {
        let digest = &self.manifest.digest;
        let resolved = self.index.as_ref().map_or(digest, |(index, _)| index);
        let path = store.image_path(digest);
        store.admit(&Candidate::new(&self.reference, platform, resolved, digest, &path))
    }

    fn name(&self, store: &Store, platform: &Platform, lease: &Lease) -> Result<PulledImage> {
        let index = self.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
        store.name(&self.reference, platform, lease, index).map(Into::into)
    }
}

fn cannot_read(path: &Path, cause: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot read {}", path.display())).with_source(cause)
}

/// What a file is compressed with, and what decompresses it; told by how it begins.
fn compression(file: &File) -> io::Result<Option<(&'static str, &'static str)>> {
    let mut beginning = [0; 6];
    let length = file.read_at(&mut beginning, 0)?;
    let is_of = |(magic, _, _): &&(&[u8], _, _)| beginning[..length].starts_with(magic);
    Ok(COMPRESSIONS.iter().find(is_of).map(|(_, compression, tool)| (*compression, *tool)))
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// All files of an archive, by name; and nothing else may be in it but directories.
fn walk(file: &File) -> Result<HashMap<String, (u64, u64)>> {
    let broken = |cause: io::Error| {
        let error = Error::new(ErrorKind::Malformed, "it is no tar archive, or a damaged one");
        // The parser's own words quote what it cannot read, and that may be of any file.
        match os_error(&cause) {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    };
    let refused = |why: String| Error::new(ErrorKind::Malformed, why).with_help("nothing of it was loaded");
    let mut files = HashMap::new();
    for entry in tar::Archive::new(file).entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path_bytes().into_owned();
        let name = name(&path)
            .ok_or_else(|| refused(format!("{:?} leads out of it", String::from_utf8_lossy(&path))))?;
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            other => return Err(refused(format!("{name:?} in it is no file, but {other:?}"))),
        }
        if files.len() >= MAX_ENTRIES {
            return Err(refused(format!("it has more than {MAX_ENTRIES} files")));
        }
        if files.insert(name.clone(), (entry.raw_file_position(), entry.size())).is_some() {
            return Err(refused(format!("{name:?} is in it twice")));
        }
    }
    Ok(files)
}

/// What the system said, where it is that which a parser failed of.
fn os_error(cause: &io::Error) -> Option<io::Error> {
    let mut causes = successors(Some(cause as &(dyn StdError + 'static)), |&cause| cause.source());
    let code = causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())?;
    Some(io::Error::from_raw_os_error(code))
}

/// The name of a file below the root, in one spelling. `None`: it leads elsewhere, or is spelled as no tool does.
fn name(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_root = path.is_empty() || path == ".";
    let is_plain =
        path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\0', '\\']);
    (is_root || is_plain).then(|| path.to_owned())
}
