//! Hash trees.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use hoist_rootfs::{RootFsOptions, Verity, root_fs};

use crate::support::Archive;
use crate::support::stored::{put, store};

/// Whether cryptsetup finds that the tree fits the data.
fn verify(image: &Path, verity: &Verity) -> bool {
    let offset = format!("--hash-offset={}", verity.hash_offset);
    let command = ["verify", &image.display().to_string(), &image.display().to_string(), &verity.root_hash];
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("veritysetup").env("PATH", path).args(command).arg(offset).output();
    output.expect("veritysetup of Debian's package cryptsetup-bin").status.success()
}

#[tokio::test]
async fn a_hash_tree_verifies_the_root_file_system_before_it_and_nothing_else() {
    let (temp, store) = store();
    // Few blocks; more than one level; exactly as many as one block of hashes has.
    for size in [10, 2_000_000, 126 * 4096] {
        let data: Vec<u8> = (0..size).map(|at: u32| u8::try_from(at % 251).unwrap()).collect();
        let image = put(&store, &[Archive::new().file("a", data).end()]).await;
        for options in [RootFsOptions::erofs(), RootFsOptions::ext4()] {
            let plain = std::fs::read(root_fs(&store, &image, &options).await.unwrap()).unwrap();
            let path = root_fs(&store, &image, &options.with_verity()).await.unwrap();
            let verity = Verity::read(&File::open(&path).unwrap()).unwrap();
            assert_eq!(verity.hash_offset, plain.len() as u64);
            assert!(verify(&path, &verity), "{size}");
            let wrong = temp.path().join("wrong");
            std::fs::write(&wrong, std::fs::read(&path).unwrap()).unwrap();
            File::options()
                .write(true)
                .open(&wrong)
                .unwrap()
                .write_all_at(b"?", verity.hash_offset - 1)
                .unwrap();
            assert!(!verify(&wrong, &verity), "{size}");
        }
    }
}

#[tokio::test]
async fn the_same_layers_have_the_same_root_hash_and_a_file_without_a_tree_has_none() {
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let (_temp, store) = store();
        let image = put(&store, &[Archive::new().file("a", "text").end()]).await;
        let path = root_fs(&store, &image, &RootFsOptions::erofs().with_verity()).await.unwrap();
        hashes.push(Verity::read(&File::open(path).unwrap()).unwrap());
        let plain = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap();
        assert!(Verity::read(&File::open(plain).unwrap()).is_err());
    }
    assert_eq!(hashes[0], hashes[1]);
}
