//! Healing: whatever happens to the files on disk, a force pull makes them right again.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::path::Path;

use hoist_core::Digest;

use super::super::harness::Subject;
use super::support::{assert_is, pull_published, siblings};
use crate::image::{Image, flip_a_bit};
use crate::layout::blob_path;
use crate::validate::check_layout;

pub(super) async fn a_damaged_blob_on_disk_is_healed_by_a_force_pull(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    healed_after(subject, &image, |layout| overwrite(layout, &layer.digest, &flip_a_bit(&layer.bytes))).await;
}

pub(super) async fn a_shortened_blob_on_disk_is_healed_by_a_force_pull(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    healed_after(subject, &image, |layout| overwrite(layout, &layer.digest, &layer.bytes[..100])).await;
}

pub(super) async fn a_missing_blob_on_disk_is_healed_by_a_force_pull(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    let delete = |layout: &Path| fs::remove_file(blob_path(layout, &layer.digest)).expect("a blob of ours");
    healed_after(subject, &image, delete).await;
}

pub(super) async fn a_damaged_manifest_on_disk_is_healed_by_a_force_pull(subject: &Subject) {
    let image = Image::sample(1);
    let manifest = image.manifest();
    healed_after(subject, &image, |layout| overwrite(layout, &manifest.digest, &flip_a_bit(&manifest.bytes)))
        .await;
}

/// Pulls the image, damages it on the disk, and pulls it again.
async fn healed_after(subject: &Subject, image: &Image, damage: impl FnOnce(&Path)) {
    let pulled = pull_published(subject, image).await;
    damage(&pulled.path);
    check_layout(&pulled.path, &pulled.digest).expect_err("it is damaged now");
    assert_is(&subject.force_pull(&pulled.reference).await.unwrap(), image);
    assert_is(&subject.pull(&pulled.reference).await.unwrap(), image);
}

pub(super) async fn damage_on_disk_is_healed_in_every_image_that_shares_it(subject: &Subject) {
    let (one, other, shared) = siblings();
    let first = subject.publish("one", "v1", &one).await;
    let second = subject.publish("other", "v1", &other).await;
    let pulled = subject.pull(&first).await.unwrap();
    subject.pull(&second).await.unwrap();
    overwrite(&pulled.path, &shared, &flip_a_bit(&one.layers()[0].bytes));
    assert_is(&subject.force_pull(&first).await.unwrap(), &one);
    assert_is(&subject.force_pull(&second).await.unwrap(), &other);
}

/// Writes into the file itself, and so into all that it is linked to. Its permissions stay as they were.
fn overwrite(layout: &Path, digest: &Digest, bytes: &[u8]) {
    let path = blob_path(layout, digest);
    let permissions = fs::metadata(&path).expect("a blob of ours").permissions();
    fs::set_permissions(&path, writable()).expect("a file of ours");
    let file = OpenOptions::new().write(true).truncate(true).open(&path);
    file.and_then(|mut file| file.write_all(bytes)).expect("a file of ours");
    fs::set_permissions(&path, permissions).expect("a file of ours");
}

fn writable() -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
