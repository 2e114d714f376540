//! Root file systems, through a stack.

use hoist::{Format, GcOptions, Hoist, ImageRegistry, RootFsOptions};

use crate::layout::Layout;

#[tokio::test]
async fn a_root_file_system_comes_with_its_image_its_configuration_and_a_lease() {
    let dir = Layout::with_image();
    let hoist: Hoist = hoist::open(&dir.config()).unwrap();
    let root = hoist.root_fs("images:v1", &RootFsOptions::erofs()).await.unwrap();
    assert_eq!(root.format, Format::Erofs);
    assert_eq!(root.image.digest, hoist.pull("images:v1").await.unwrap().digest);
    assert_eq!(root.config.os().to_string(), "linux");
    // The magic number of EROFS.
    assert_eq!(std::fs::read(&root.path).unwrap()[1024..1028], 0xE0F5_E1E2_u32.to_le_bytes());
    // The lease keeps it.
    assert!(hoist.store().remove(&root.image.reference.parse().unwrap(), hoist.platform()).unwrap());
    hoist.store().gc(GcOptions::default().with_all(true)).unwrap();
    assert!(root.path.exists());
}

#[tokio::test]
async fn a_file_outside_the_store_has_the_same_bytes() {
    let dir = Layout::with_image();
    let hoist = hoist::open(&dir.config()).unwrap();
    let path = dir.store().with_file_name("out.ext4");
    let options = RootFsOptions::ext4();
    hoist.write_root_fs("images:v1", &options, &path).await.unwrap();
    let root = hoist.root_fs("images:v1", &options).await.unwrap();
    assert!(std::fs::read(path).unwrap() == std::fs::read(root.path).unwrap());
}

#[tokio::test]
async fn an_error_says_of_which_image_and_a_reference_that_is_none_is_refused() {
    let dir = Layout::with_image();
    let hoist = hoist::open(&dir.config()).unwrap();
    let error = hoist.root_fs("images:v1", &RootFsOptions::erofs().with_size(1)).await.unwrap_err();
    assert!(error.report().contains("images:v1") && error.report().contains("ext4"), "{}", error.report());
    assert!(hoist.root_fs("IMAGES", &RootFsOptions::erofs()).await.is_err());
}
