//! What must be true of a store whenever nobody is at work in it, read off its files by the format in
//! `docs/store.md`, and not by the code that wrote them.

use std::fs;
use std::path::{Path, PathBuf};

use hoist_core::Digest;
use hoist_testkit::check_layout;

/// A file of `refs/`, as far as it matters here.
#[derive(Debug)]
struct Ref {
    path: PathBuf,
    image: String,
}

/// Says what is wrong with what a pull would take as it is: the pool's blobs, and the images, whether a ref
/// leads to them or not.
pub fn check_content(root: &Path) -> Result<(), String> {
    for path in entries(&root.join("blobs/sha256")) {
        let bytes = fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        if Digest::sha256(&bytes).hex() != name(&path) {
            return Err(format!("{} has other bytes", path.display()));
        }
    }
    for path in entries(&root.join("images/sha256")) {
        check_layout(&path, &format!("sha256:{}", name(&path)))?;
    }
    Ok(())
}

/// Says which refs lead to no image, or to one that `names/` does not know them of.
pub fn check_refs(root: &Path) -> Result<(), String> {
    for Ref { path, image } in refs(root)? {
        check_layout(&image_path(root, &image), &image)
            .map_err(|why| format!("{}: {why}", path.display()))?;
        let below = path.strip_prefix(root).map_err(|why| why.to_string())?;
        let marker = Digest::sha256(below.to_string_lossy().as_bytes());
        let marker = root.join("names/sha256").join(hex(&image)).join(marker.hex());
        if !marker.exists() {
            return Err(format!("{} has no marker {}", path.display(), marker.display()));
        }
    }
    Ok(())
}

/// Says what is there that no ref leads to, or on its way: nothing, once all was collected.
pub fn check_nothing_left(root: &Path) -> Result<(), String> {
    let refs = refs(root)?;
    let images = root.join("images/sha256");
    let mut left: Vec<_> = ["staging", "ingest"].iter().flat_map(|dir| entries(&root.join(dir))).collect();
    left.extend(
        entries(&images).into_iter().filter(|path| !refs.iter().any(|r| hex(&r.image) == name(path))),
    );
    let is_used =
        |blob: &str| entries(&images).iter().any(|path| path.join("blobs/sha256").join(blob).exists());
    left.extend(entries(&root.join("blobs/sha256")).into_iter().filter(|path| !is_used(name(path))));
    if refs.is_empty() {
        left.extend(files(root).into_iter().filter(|path| name(path) != "store.json"));
    }
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}

fn refs(root: &Path) -> Result<Vec<Ref>, String> {
    let files = files(&root.join("refs")).into_iter().filter(|path| !name(path).contains('~'));
    files
        .map(|path| {
            let bytes = fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
            let record: serde_json::Value =
                serde_json::from_slice(&bytes).map_err(|cause| format!("{}: {cause}", path.display()))?;
            Ok(Ref { path, image: record["image"].as_str().unwrap_or_default().to_owned() })
        })
        .collect()
}

fn image_path(root: &Path, image: &str) -> PathBuf {
    root.join("images/sha256").join(hex(image))
}

fn hex(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or_default()
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let deeper = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries(dir).into_iter().flat_map(deeper).collect()
}

/// What is in a directory; nothing, if there is none.
pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = dir.read_dir().into_iter().flatten();
    entries.map(|entry| entry.expect("a directory can be read").path()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
