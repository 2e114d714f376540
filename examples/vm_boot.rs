//! What a runtime does that boots microVMs: lease an image and pull it, read its layers from the layout, run,
//! release. The lease keeps the image on the disk while the VM runs, whoever removes it; and it ends with the
//! process that holds it, however that ends.
//!
//! By itself it runs with a mocked registry. `vm_boot STORE REF` boots from a real one, and runs until its
//! standard input ends.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use hoist::{Descriptor, Digest, Document, Hoist, ImageRegistry, Lease, PulledImage, Result};
use hoist_testkit::{Image, MockRegistry};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [store, reference] = &arguments[..] {
        return boot_and_wait(Path::new(store), reference).await;
    }
    let registry = MockRegistry::start().await;
    let reference = registry.publish("library/vm", "v1", Image::sample(1));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let hoist = open(directory.path())?;

    let vm = Vm::boot(&hoist, &reference).await?;
    println!("removed meanwhile: {}", hoist.remove(&reference).await?);
    println!("still readable: {}", vm.layers().iter().all(|layer| layer.exists()));
    let path = vm.image.path.clone();
    vm.shut_down();
    hoist.store().gc(hoist::GcOptions::default())?;
    println!("gone after the lease: {}", !path.exists());
    Ok(())
}

fn open(store: &Path) -> Result<Hoist> {
    Hoist::builder().store(store).platform("linux/amd64".parse()?).build()
}

async fn boot_and_wait(store: &Path, reference: &str) -> Result<()> {
    let vm = Vm::boot(&open(store)?, reference).await?;
    std::io::stdout().flush().expect("standard output can be written");
    _ = std::io::stdin().read_to_end(&mut Vec::new());
    vm.shut_down();
    Ok(())
}

/// A machine that runs from an image.
struct Vm {
    image: PulledImage,
    manifest: hoist::Manifest,
    lease: Lease,
}

impl Vm {
    async fn boot(hoist: &Hoist, reference: &str) -> Result<Self> {
        let (image, lease) = hoist.pull_leased(reference).await?;
        println!("leased {}", lease.digest());
        let vm = Self { manifest: manifest(&image)?, image, lease };
        for (layer, path) in vm.manifest.layers.iter().zip(vm.layers()) {
            // Yours would unpack it, or make a disk of it; the lease's descriptor could go to the VM's process.
            let bytes = File::open(&path).and_then(|file| file.metadata()).expect("a layer is there").len();
            println!("layer {} has {bytes} bytes of {}", layer.digest, layer.size);
        }
        println!("running");
        Ok(vm)
    }

    fn layers(&self) -> Vec<PathBuf> {
        self.manifest.layers.iter().map(|layer| blob(&self.image, layer)).collect()
    }

    fn shut_down(self) {
        drop(self.lease);
        println!("released");
    }
}

/// The image's manifest: the one that the layout's index names.
fn manifest(image: &PulledImage) -> Result<hoist::Manifest> {
    let digest: Digest = image.digest.parse()?;
    let path = image.path.join("blobs").join(digest.algorithm().as_str()).join(digest.hex());
    let bytes = std::fs::read(path).expect("a manifest is there");
    match Document::parse(&bytes, None)? {
        Document::Manifest(manifest) => Ok(manifest),
        _ => unreachable!("what was pulled is one image"),
    }
}

fn blob(image: &PulledImage, blob: &Descriptor) -> PathBuf {
    image.path.join("blobs").join(blob.digest.algorithm().as_str()).join(blob.digest.hex())
}
