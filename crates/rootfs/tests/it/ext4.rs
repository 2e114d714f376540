//! ext4 images: e2fsck finds nothing to repair in them, and debugfs reads them.

use std::process::Command;
use std::sync::Arc;

use hoist_rootfs::{Budget, RootTree};
use tempfile::NamedTempFile;

use crate::support::{Archive, File, layer};

/// The image of these layers, with what e2fsck says of it.
fn write(layers: &[Archive], size: Option<u64>) -> hoist_core::Result<NamedTempFile> {
    let budget = Arc::new(Budget::default());
    let layers: hoist_core::Result<Vec<_>> =
        layers.iter().map(|archive| layer(&archive.clone().end(), 1 << 20, &budget)).collect();
    let out = NamedTempFile::new().unwrap();
    RootTree::merge(layers?, &budget)?.write_ext4(out.as_file(), [7; 16], size)?;
    let said = run("e2fsck", &["-fn", out.path().to_str().unwrap()]);
    assert!(!said.contains("Fix?") && !said.contains("error"), "{said}");
    Ok(out)
}

fn run(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|_| panic!("{program} of Debian's package e2fsprogs"));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn debugfs(image: &NamedTempFile, request: &str) -> String {
    run("debugfs", &["-R", request, image.path().to_str().unwrap()])
}

#[test]
fn files_links_and_devices_are_there() {
    let large = "0123456789\n".repeat(50_000);
    let layer = Archive::new()
        .add(&File::new(b'5', "d").mode(0o1777).owner(70_000, 5))
        .file("d/large", &large)
        .file("d/small", "text")
        .hard_link("e", "d/small")
        .symlink("s", "t".repeat(200))
        .add(&File::new(b'3', "null").device(1, 3))
        .file("empty", "");
    let image = write(&[layer], None).unwrap();
    assert!(debugfs(&image, "cat /d/large").starts_with(&large));
    assert!(debugfs(&image, "cat /e").starts_with("text"));
    let directory = debugfs(&image, "stat /d");
    assert!(
        directory.contains("Mode:  01777") && directory.contains("User: 70000   Group:     5"),
        "{directory}"
    );
    assert!(debugfs(&image, "stat /e").contains("Links: 2"));
    assert!(debugfs(&image, "stat /null").contains("Device major/minor number: 01:03"));
}

#[test]
fn access_control_lists_are_in_the_form_of_ext4() {
    let entries =
        [(1u16, 6u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 4, u32::MAX)];
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    let file = File::new(b'0', "a").xattr("system.posix_acl_access", &list).xattr("user.k", "value");
    let image = write(&[Archive::new().add(&file)], None).unwrap();
    let shown = debugfs(&image, "ea_list /a");
    assert!(shown.contains("user.k (5) = \"value\"") && shown.contains("system.posix_acl_access"), "{shown}");
    // A list that is none is refused.
    let broken = File::new(b'0', "a").xattr("system.posix_acl_access", "broken");
    let error = write(&[Archive::new().add(&broken)], None).unwrap_err();
    assert_eq!(error.kind().as_str(), "unsupported");
}

#[test]
fn an_image_has_the_size_that_is_asked_for_and_takes_little_of_the_disk() {
    use std::os::unix::fs::MetadataExt;
    let image = write(&[Archive::new().file("a", "text")], Some(4 << 30)).unwrap();
    let meta = image.as_file().metadata().unwrap();
    assert_eq!(meta.len(), 4 << 30);
    assert!(meta.blocks() * 512 < 64 << 20, "{}", meta.blocks());
}

#[test]
fn files_that_do_not_fit_are_an_error_that_names_the_setting() {
    let layer = Archive::new().file("a", vec![1; 40 << 20]);
    let error = write(&[layer], Some(32 << 20)).unwrap_err();
    assert!(
        error.kind().as_str() == "invalid_config" && error.report().contains("`size`"),
        "{}",
        error.report()
    );
}

#[test]
fn what_ext4_cannot_express_is_an_error_that_names_erofs() {
    for file in [File::new(b'0', b"\xff"), File::new(b'0', "a").pax("mtime", "99999999999")] {
        let error = write(&[Archive::new().add(&file)], None).unwrap_err();
        assert!(
            error.kind().as_str() == "unsupported" && error.report().contains("erofs"),
            "{}",
            error.report()
        );
    }
}

#[test]
fn many_small_files_fit_into_an_image_of_the_size_that_is_chosen_for_them() {
    let layer =
        (0..20_000).fold(Archive::new(), |archive, at| archive.file(format!("{}/{at}", at % 50), "x"));
    write(&[layer], None).unwrap();
}

#[test]
fn equal_layers_give_equal_bytes() {
    let layers = [Archive::new().file("a", "text").symlink("b", "a")];
    let bytes = || std::fs::read(write(&layers, None).unwrap().path()).unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_scratch_file_system_is_empty_sparse_and_replaces_a_file() {
    use std::os::unix::fs::MetadataExt;
    let temp = tempfile::TempDir::new().unwrap();
    let path = temp.path().join("scratch.ext4");
    std::fs::write(&path, "old").unwrap();
    hoist_rootfs::write_scratch(&path, 1 << 30).unwrap();
    let made = path.metadata().unwrap();
    assert!(made.len() == 1 << 30 && made.blocks() * 512 < 100 << 20, "{} blocks", made.blocks());
    let said = run("e2fsck", &["-fn", path.to_str().unwrap()]);
    assert!(!said.contains("Fix?") && !said.contains("error"), "{said}");
    assert!(hoist_rootfs::write_scratch(temp.path(), 1 << 30).is_err(), "a directory is not replaced");
    assert!(hoist_rootfs::write_scratch(&path, 1000).is_err(), "too small");
    assert_eq!(path.metadata().unwrap().len(), 1 << 30);
}
