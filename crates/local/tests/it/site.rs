//! A store, and the archives and layouts that tests load into it.

use std::fs;
use std::path::PathBuf;

use hoist_core::{Descriptor, Error, ImageRegistry, Platform, PulledImage, media_type};
use hoist_local::{Archive, LocalRegistry};
use hoist_store::{Store, StoreOptions};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A store, and an archive to be loaded into it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

/// The outcome for each name in an archive: the name of an image and its digest, or an error.
pub(crate) type Outcomes = Vec<Outcome>;
pub(crate) type Outcome = Result<PulledImage, Error>;

/// The files of an archive, by name.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The files of a layout with one image, whose layer has these bytes.
pub(crate) fn layout(layer: &[u8], name: &str) -> Files {
    let mut writer = Writer::default();
    let image = writer.image("linux/amd64", layer);
    writer.finish(&[named(&image, name)])
}

/// A layout in the making.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) files: Files,
}

impl Writer {
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let blob = Descriptor::of(media_type, bytes);
        let file = (format!("blobs/sha256/{}", blob.digest.hex()), bytes.to_vec());
        if !self.files.contains(&file) {
            self.files.push(file);
        }
        blob
    }

    /// An image of one layer; its descriptor has no platform.
    pub(crate) fn image(&mut self, platform: &str, layer: &[u8]) -> Descriptor {
        let made_for: Platform = platform.parse().unwrap();
        let config = serde_json::to_vec(&made_for).unwrap();
        let config = self.blob(media_type::OCI_CONFIG, &config);
        let layer = self.blob(LAYER, layer);
        self.manifest(&config, &[layer])
    }

    pub(crate) fn manifest(&mut self, config: &Descriptor, layers: &[Descriptor]) -> Descriptor {
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        self.blob(media_type::OCI_MANIFEST, manifest.as_bytes())
    }

    /// An index within the layout.
    pub(crate) fn index(&mut self, entries: &[Descriptor]) -> Descriptor {
        let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
        self.blob(media_type::OCI_INDEX, index.as_bytes())
    }

    /// Takes a blob out again, as `docker save` leaves out what was never pulled.
    pub(crate) fn without(mut self, blob: &Descriptor) -> Self {
        self.files.retain(|(name, _)| !name.ends_with(blob.digest.hex()));
        self
    }

    /// All files of the layout, with these entries in its index.
    pub(crate) fn finish(self, entries: &[Descriptor]) -> Files {
        self.finish_with(&json!({"schemaVersion": 2, "manifests": entries}))
    }

    pub(crate) fn finish_with(self, index: &Value) -> Files {
        let marker = ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        let index = ("index.json".to_owned(), index.to_string().into_bytes());
        [vec![marker], self.files, vec![index]].concat()
    }
}

pub(crate) fn named(image: &Descriptor, name: &str) -> Descriptor {
    let mut named = image.clone();
    named.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    named
}

pub(crate) fn of_platform(image: &Descriptor, platform: &str) -> Descriptor {
    let mut image = image.clone();
    image.platform = Some(platform.parse().unwrap());
    image
}

/// An entry of any name and kind: names that the library would not write go into the header as they are.
pub(crate) fn append(
    builder: &mut Builder<Vec<u8>>,
    name: &str,
    kind: EntryType,
    target: &str,
    content: &[u8],
) {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

pub(crate) fn tar_of(files: &[(String, Vec<u8>)]) -> Builder<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "blobs/", EntryType::Directory, "", b"");
    for (name, content) in files {
        append(&mut builder, name, EntryType::Regular, "", content);
    }
    builder
}

pub(crate) fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path().join("store"), StoreOptions::default()).unwrap();
        Self { dir, store }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> PathBuf {
        self.write_as("demo.tar", bytes)
    }

    pub(crate) fn write_as(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Loads an archive in which every image is to be good.
    pub(crate) async fn load(
        &self,
        archive: Builder<Vec<u8>>,
        replace: bool,
    ) -> Result<Vec<PulledImage>, Error> {
        let path = self.write(&archive.into_inner().unwrap());
        Archive::open(path)?.load(&self.store, &amd64(), replace).await?.into_iter().collect()
    }

    /// Loads the files of a layout for a platform.
    pub(crate) async fn outcomes(&self, files: &[(String, Vec<u8>)], platform: &str) -> Outcomes {
        let archive = Archive::open(self.write(&tar_of(files).into_inner().unwrap())).unwrap();
        archive.load(&self.store, &platform.parse().unwrap(), false).await.unwrap()
    }

    /// Pulls a name from a directory with the files of a layout.
    pub(crate) async fn pull(&self, files: &[(String, Vec<u8>)], name: &str, platform: &str) -> Outcome {
        let layout = TempDir::new_in(self.dir.path()).unwrap();
        for (name, content) in files {
            let path = layout.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let registry = LocalRegistry::open(layout.path(), self.store.clone())?
            .with_platform(platform.parse().unwrap())
            .with_repository("demo".parse().unwrap());
        registry.pull(name).await
    }

    /// What is in the store: names, and blobs.
    pub(crate) fn held(&self) -> (usize, usize) {
        let blobs = self.store.root().join("blobs/sha256").read_dir().map_or(0, Iterator::count);
        (self.store.list(&amd64()).unwrap().len(), blobs)
    }

    pub(crate) fn digest(&self, reference: &str) -> String {
        self.store.peek(&reference.parse().unwrap(), &amd64()).unwrap().unwrap().digest.to_string()
    }
}
