//! What is stacked on what, and what is said where it is not compiled in.

use std::fs;
use std::path::PathBuf;

use hoist::{Config, ErrorKind};
use tempfile::TempDir;

/// A store to be, and a directory of images beside it.
fn dirs() -> (TempDir, Config) {
    let dir = TempDir::new().unwrap();
    let images = dir.path().join("images");
    fs::create_dir_all(images.join("blobs/sha256")).unwrap();
    fs::write(images.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(images.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let config = Config::default().with_root(dir.path().join("store"));
    (dir, config)
}

fn images(dir: &TempDir) -> PathBuf {
    dir.path().join("images")
}

/// What is stacked, or the error's kind, with the images' directory called `IMAGES`.
#[cfg(feature = "local")]
fn shown(dir: &TempDir, opened: hoist::Result<hoist::Hoist>) -> Result<String, ErrorKind> {
    let images = images(dir).display().to_string();
    opened.map(|hoist| hoist.to_string().replace(&images, "IMAGES")).map_err(|error| error.kind().clone())
}

#[test]
fn no_source_at_all_is_a_mistake() {
    let (_dir, config) = dirs();
    let error = hoist::open(&config.without_remote()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidConfig);
    let help = error.help().unwrap();
    assert!(help.contains("remote.enabled") && help.contains("local.path"), "{help}");
}

#[test]
fn what_is_not_compiled_in_is_named_when_it_is_asked_for() {
    let (dir, config) = dirs();
    let local = || config.clone().without_remote().without_cache().with_local(images(&dir));
    for (feature, compiled_in, config) in [
        ("remote", cfg!(feature = "remote"), config.clone().with_remote().without_cache()),
        ("local", cfg!(feature = "local"), local()),
        ("cache", cfg!(all(feature = "cache", feature = "local")), local().with_cache()),
    ] {
        match hoist::open(&config) {
            Ok(_) => assert!(compiled_in, "{feature}"),
            Err(error) => {
                assert!(!compiled_in, "{}", error.report());
                assert_eq!(*error.kind(), ErrorKind::Unsupported);
                let first = if cfg!(feature = "local") || feature == "remote" { feature } else { "local" };
                let message = format!("the feature `{first}` of the crate hoist is not compiled in");
                assert!(error.to_string().contains(&message), "{error}");
                assert!(error.help().unwrap().contains(&format!("--features {first}")));
            }
        }
    }
}

#[cfg(feature = "local")]
#[test]
fn a_lone_directory_is_all_there_is() {
    let (dir, config) = dirs();
    let config = config.without_remote().without_cache().with_local(images(&dir));
    assert_eq!(shown(&dir, hoist::open(&config)), Ok("local(IMAGES)".to_owned()));
}

#[cfg(all(feature = "local", feature = "cache"))]
#[test]
fn the_cache_is_in_front() {
    let (dir, config) = dirs();
    let config = config.without_remote().with_local(images(&dir));
    assert_eq!(shown(&dir, hoist::open(&config)), Ok("cached(local(IMAGES))".to_owned()));
}

#[cfg(all(feature = "local", feature = "cache", feature = "remote"))]
#[test]
fn the_directory_is_asked_before_the_registries() {
    let (dir, config) = dirs();
    let config = config.with_local(images(&dir));
    let all = "cached(fallback(local(IMAGES), remote))";
    assert_eq!(shown(&dir, hoist::open(&config)), Ok(all.to_owned()));
    let uncached = hoist::open(&config.without_cache());
    assert_eq!(shown(&dir, uncached), Ok("fallback(local(IMAGES), remote)".to_owned()));
}

#[cfg(feature = "local")]
#[tokio::test]
async fn an_image_is_leased_before_anybody_could_remove_it() {
    use hoist::ImageRegistry;

    let (dir, config) = dirs();
    put_image(&images(&dir));
    let hoist = hoist::open(&config.without_remote().with_local(images(&dir))).unwrap();
    assert_eq!(hoist.resolve("images:v0").await.unwrap().map(|image| image.reference), None);
    let (image, lease) = hoist.pull_leased("images:v1").await.unwrap();
    assert_eq!(lease.digest().to_string(), image.digest);
    assert!(image.path.starts_with(hoist.store().root()));
    let reference = image.reference.parse().unwrap();
    assert!(hoist.store().remove(&reference, hoist.platform()).unwrap());
    assert!(image.path.join("index.json").exists());
    drop(lease);
    let again = hoist.pull("images:v1").await.unwrap();
    assert_eq!(hoist.resolve("images:v1").await.unwrap().unwrap().path, again.path);
    assert_eq!(hoist.list_cached().await.unwrap(), [again.reference]);
}

/// Puts an image called `v1` into a layout.
#[cfg(feature = "local")]
fn put_image(layout: &std::path::Path) {
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = hoist::Digest::sha256(bytes);
        fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        serde_json::json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    let config = put("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] });
    let mut manifest = put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}
