//! What images look like.

use std::process::Command;

use crate::support::{Archive, File, Image, build};

/// fsck.erofs finds nothing to complain about.
fn check(image: &Image) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &image.bytes).unwrap();
    let output = Command::new("fsck.erofs").arg("-d9").arg(file.path()).output();
    let output = output.expect("fsck.erofs of Debian's package erofs-utils");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("<E>"), "{text}");
}

/// Files of sizes around the block's.
fn sizes() -> Archive {
    let sizes = [0, 1, 31, 32, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 12_000, 300_000];
    sizes.iter().fold(Archive::new(), |archive, &size: &usize| {
        let data: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        archive.file(format!("{size}"), data)
    })
}

#[test]
fn files_of_all_sizes_have_their_content() {
    let image = build(&[sizes()]);
    check(&image);
    for path in image.paths() {
        let expected: Vec<u8> =
            (0..path.parse().unwrap()).map(|at: usize| u8::try_from(at % 251).unwrap()).collect();
        assert_eq!(image.node(path).content, expected, "{path}");
    }
}

#[test]
fn small_tails_take_no_blocks_of_their_own() {
    let archive = (0..1000).fold(Archive::new(), |archive, at| archive.file(format!("{at}"), [1; 500]));
    let image = build(&[archive]);
    check(&image);
    assert!(image.bytes.len() < 1000 * 700, "{}", image.bytes.len());
}

#[test]
fn a_directory_of_many_names_can_be_read() {
    let archive = (0..5000)
        .fold(Archive::new(), |archive, at| archive.file(format!("d/!{at}-{}", "n".repeat(at % 200)), ""));
    let image = build(&[archive]);
    check(&image);
    assert_eq!(image.paths().len(), 5001);
}

#[test]
fn large_attributes_and_long_symlinks_fit() {
    let archive = Archive::new()
        .add(
            &File::new(b'0', "a")
                .data(vec![1; 5000])
                .xattr("user.a", vec![1; 60_000])
                .xattr("user.b", vec![2; 60_000]),
        )
        .symlink("b", "t".repeat(4095))
        .add(&File::new(b'5', "c").xattr("user.a", vec![3; 4000]));
    let image = build(&[archive]);
    check(&image);
    assert_eq!(image.node("a").xattrs["user.b"], vec![2; 60_000]);
    assert_eq!(image.node("b").content.len(), 4095);
    assert_eq!(image.node("c").xattrs["user.a"].len(), 4000);
}

#[test]
fn the_root_is_found_in_an_image_of_many_files() {
    let archive =
        (0..30_000).fold(Archive::new(), |archive, at| archive.file(format!("{}/{at}", at % 100), "x"));
    assert_eq!(build(&[archive]).paths().len(), 30_100);
}

#[test]
fn equal_layers_give_equal_bytes_and_other_entries_give_others() {
    let layers = [sizes(), Archive::new().file(".wh.1", "")];
    assert_eq!(build(&layers).bytes, build(&layers).bytes);
    assert_ne!(build(&layers).bytes, build(&layers[..1]).bytes);
}
