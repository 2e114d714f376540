//! What has gone wrong in programs that unpack layers: a test for each kind.

use std::sync::Arc;

use hoist_core::{Digest, Error};
use hoist_rootfs::{Budget, Limits, Spool, Unpacker};

use crate::support::{Archive, File, build, build_with, refusal};

fn kind(error: &Error) -> &'static str {
    error.kind().as_str()
}

/// CVE-2025-62518, CVE-2026-33055, RUSTSEC-2026-0112.
#[test]
fn smuggled_entries_where_a_pax_size_and_a_header_size_differ_are_refused() {
    let smuggled = Archive::new().file("smuggled", "").0;
    let data = File::new(b'0', "a").data(&smuggled);
    let in_pax = data.clone().size(0).pax("size", smuggled.len().to_string());
    let in_header = data.pax("size", "0");
    for file in [in_pax, in_header] {
        assert_eq!(kind(&refusal(&[Archive::new().add(&file)])), "malformed");
    }
}

#[test]
fn equal_sizes_in_both_headers_are_one_file() {
    let smuggled = Archive::new().file("smuggled", "").0;
    let file = File::new(b'0', "a").data(&smuggled).pax("size", smuggled.len().to_string());
    assert_eq!(build(&[Archive::new().add(&file)]).paths(), ["a"]);
}

#[test]
fn smuggled_entries_in_the_data_of_what_is_no_file_are_refused() {
    let smuggled = Archive::new().file("smuggled", "").0;
    for type_flag in *b"123456" {
        let entry = File::new(type_flag, "a").link("b").data(&smuggled);
        assert_eq!(kind(&refusal(&[Archive::new().add(&entry)])), "malformed", "{}", char::from(type_flag));
    }
}

#[test]
fn smuggled_entries_after_a_block_of_zeros_are_refused_and_none_are_read_after_the_end() {
    let zero = [0; 512];
    let after_one = Archive::new().file("a", "").bytes(&zero).file("smuggled", "");
    assert_eq!(kind(&refusal(&[after_one])), "malformed");
    let after_two = Archive::new().file("a", "").bytes(&zero).bytes(&zero).file("smuggled", "");
    assert_eq!(build(&[after_two]).paths(), ["a"]);
}

#[test]
fn two_extensions_of_one_kind_and_extensions_of_nothing_are_refused() {
    let long = File::new(b'L', "long").data("name\0");
    let twice = Archive::new().add(&long).add(&long).file("a", "");
    assert_eq!(kind(&refusal(&[twice])), "malformed");
    assert_eq!(kind(&refusal(&[Archive::new().file("a", "").add(&long)])), "malformed");
}

/// CVE-2026-33056, RUSTSEC-2026-0113.
#[test]
fn a_symlink_then_a_directory_of_that_name_leaves_what_it_led_to_alone() {
    let lower = Archive::new().add(&File::new(b'5', "etc").mode(0o755));
    let upper = Archive::new().symlink("a", "etc").add(&File::new(b'5', "a").mode(0o777)).file("a/x", "");
    let image = build(&[lower, upper]);
    assert_eq!(image.paths(), ["a", "a/x", "etc"]);
    assert_eq!((image.node("a").kind.as_str(), image.node("etc").mode), ("directory", 0o755));
}

#[test]
fn a_symlink_as_parent_leads_nowhere_but_into_the_image() {
    let lower = Archive::new().symlink("a", "../../../../tmp").symlink("b", "/tmp").dir("tmp");
    let image = build(&[lower, Archive::new().file("a/x", "").file("b/y", "")]);
    assert_eq!(image.paths(), ["a", "b", "tmp", "tmp/x", "tmp/y"]);
}

#[test]
fn a_whiteout_or_an_opaque_marker_through_a_symlink_hides_what_is_in_the_image() {
    let lower = Archive::new().symlink("a", "../../b").file("b/x", "").file("b/y", "");
    assert_eq!(build(&[lower.clone(), Archive::new().file("a/.wh.x", "")]).paths(), ["a", "b", "b/y"]);
    assert_eq!(build(&[lower, Archive::new().file("a/.wh..wh..opq", "")]).paths(), ["a", "b"]);
    let of_its_own = Archive::new().symlink("a", "b").file("a/.wh.x", "");
    assert_eq!(kind(&refusal(&[of_its_own])), "malformed");
}

#[test]
fn paths_that_lead_out_or_that_linux_cannot_have_are_refused() {
    let long_name = "n".repeat(256);
    let long_path = "d/".repeat(2049);
    for path in ["..", "a/../b", "../etc/passwd", "/..", &long_name, &long_path, "a/"] {
        assert_eq!(kind(&refusal(&[Archive::new().file(path, "")])), "malformed", "{path}");
    }
    let in_pax = |path: &str| Archive::new().add(&File::new(b'0', "a").pax("path", path));
    assert_eq!(kind(&refusal(&[in_pax("a\0b")])), "malformed");
    assert_eq!(kind(&refusal(&[Archive::new().file("", "")])), "malformed");
}

#[test]
fn paths_that_are_absolute_or_have_empty_names_are_made_plain() {
    let archive = Archive::new().file("/a//b/./c", "").file("././d", "").dir("/e///");
    assert_eq!(build(&[archive]).paths(), ["a", "a/b", "a/b/c", "d", "e"]);
}

#[test]
fn names_that_are_not_utf_8_are_kept_as_they_are() {
    let image = build(&[Archive::new().file(b"\xff\xfe", "x").file("n".repeat(255), "")]);
    assert_eq!(image.paths().len(), 2);
    assert!(image.bytes.windows(2).any(|bytes| bytes == b"\xff\xfe"));
}

#[test]
fn hard_links_to_what_is_absent_outside_a_directory_later_or_whited_out_are_refused() {
    let lower = Archive::new().dir("d").file("gone", "");
    for upper in [
        Archive::new().hard_link("a", "absent"),
        Archive::new().hard_link("a", "../outside"),
        Archive::new().hard_link("a", "d"),
        Archive::new().hard_link("a", "/"),
        Archive::new().hard_link("a", "later").file("later", ""),
        Archive::new().file(".wh.gone", "").hard_link("a", "gone"),
        Archive::new().hard_link("a", "gone").file(".wh.gone", ""),
        Archive::new().hard_link("a", "a"),
    ] {
        assert_eq!(kind(&refusal(&[lower.clone(), upper])), "malformed");
    }
}

#[test]
fn a_hard_link_through_a_symlink_finds_the_file_in_the_image() {
    let lower = Archive::new().symlink("s", "../../d").file("d/a", "text");
    assert_eq!(build(&[lower, Archive::new().hard_link("b", "s/a")]).text("b"), "text");
}

#[test]
fn a_whiteout_that_is_a_hard_link_or_a_device_is_a_whiteout() {
    let lower = Archive::new().file("a", "").file("b", "").file("c", "");
    let upper = Archive::new().hard_link(".wh.a", ".wh..wh.aufs").symlink(".wh.b", "x").file(".wh.c", "data");
    assert!(build(&[lower, upper]).paths().is_empty());
}

#[test]
fn whiteouts_of_nothing_are_refused_and_what_aufs_left_behind_is_passed_over() {
    for path in [".wh.", ".wh..", ".wh...", "d/.wh.", ".wh.a/b"] {
        assert_eq!(kind(&refusal(&[Archive::new().file(path, "")])), "malformed", "{path}");
    }
    let aufs = Archive::new()
        .file(".wh..wh.aufs", "")
        .dir(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", "")
        .file("a", "");
    assert_eq!(build(&[aufs]).paths(), ["a"]);
}

#[test]
fn a_whiteout_hides_nothing_of_its_own_layer_whatever_their_order() {
    let lower = Archive::new().file("a", "old").file("d/old", "");
    for upper in [
        Archive::new().file(".wh.a", "").file("a", "new").file(".wh.d", "").file("d/new", ""),
        Archive::new().file("a", "new").file(".wh.a", "").file("d/new", "").file(".wh.d", ""),
    ] {
        let image = build(&[lower.clone(), upper]);
        assert_eq!((image.paths(), image.text("a").as_str()), (vec!["a", "d", "d/new"], "new"));
    }
}

#[test]
fn an_opaque_marker_in_the_bottom_layer_or_in_the_root_is_fine() {
    let bottom = Archive::new().file("d/a", "").file("d/.wh..wh..opq", "").file(".wh..wh..opq", "");
    assert_eq!(build(std::slice::from_ref(&bottom)).paths(), ["d", "d/a"]);
    assert_eq!(build(&[Archive::new().file("old", ""), bottom]).paths(), ["d", "d/a"]);
}

#[test]
fn a_directory_a_file_and_a_symlink_replace_each_other_across_layers() {
    let (directory, file) = (Archive::new().file("a/x", ""), Archive::new().file("a", "f"));
    let symlink = Archive::new().symlink("a", "elsewhere");
    let explicit = Archive::new().dir("a").file("a/x", "");
    let paths = |lower: &Archive, upper: &Archive| {
        let image = build(&[lower.clone(), upper.clone()]);
        (image.paths().join(" "), image.node("a").kind.clone())
    };
    let expected = |paths: &str, kind: &str| (paths.to_owned(), kind.to_owned());
    assert_eq!(paths(&directory, &file), expected("a", "file"));
    assert_eq!(paths(&directory, &symlink), expected("a", "symlink"));
    assert_eq!(paths(&file, &directory), expected("a a/x", "directory"));
    assert_eq!(paths(&file, &symlink), expected("a", "symlink"));
    assert_eq!(paths(&symlink, &file), expected("a", "file"));
    assert_eq!(paths(&symlink, &explicit), expected("a a/x", "directory"));
}

#[test]
fn of_two_entries_of_one_path_in_a_layer_the_later_counts() {
    let files = Archive::new().file("a", "one").file("a", "two");
    assert_eq!(build(&[files]).text("a"), "two");
    let replaced =
        Archive::new().file("a/x", "").file("a", "file").dir("b").file("b/x", "").symlink("b", "a");
    assert_eq!(build(&[replaced]).paths(), ["a", "b"]);
    let directories = Archive::new().dir("a").file("a/x", "").add(&File::new(b'5', "a").mode(0o700));
    let image = build(&[directories]);
    assert_eq!((image.paths(), image.node("a").mode), (vec!["a", "a/x"], 0o700));
}

#[test]
fn entries_below_a_file_of_their_layer_and_a_root_that_is_a_file_are_refused() {
    assert_eq!(kind(&refusal(&[Archive::new().file("a", "").file("a/b", "")])), "malformed");
    assert_eq!(kind(&refusal(&[Archive::new().symlink("/", "etc")])), "malformed");
}

#[test]
fn implied_parents_have_usual_values() {
    let node = build(&[Archive::new().file("a/b", "")]).node("a").clone();
    assert_eq!((node.mode, node.owner, node.mtime, node.links), (0o755, (0, 0), (0, 0), 2));
}

#[test]
fn the_images_own_overlay_marks_do_not_reach_the_guest() {
    let device = Archive::new().add(&File::new(b'3', "a").device(0, 0));
    assert_eq!(kind(&refusal(&[device])), "malformed");
    let marked = Archive::new().add(&File::new(b'5', "d").xattr("trusted.overlay.opaque", "y"));
    assert!(build(&[marked]).node("d").xattrs.is_empty());
}

#[test]
fn numbers_that_linux_cannot_have_are_refused() {
    for file in [
        File::new(b'0', "a").pax("uid", "4294967295"),
        File::new(b'0', "a").pax("gid", "4294967296"),
        File::new(b'3', "a").device(4096, 0),
        File::new(b'4', "a").device(0, 1 << 20),
        File::new(b'0', "a").pax("mtime", "99999999999999999999"),
        File::new(b'0', "a").pax("mtime", "never"),
        File::new(b'2', "a"),
        File::new(b'2', "a").pax("linkpath", "t".repeat(4096)),
    ] {
        assert_eq!(kind(&refusal(&[Archive::new().add(&file)])), "malformed", "{file:?}");
    }
}

#[test]
fn entries_of_unknown_types_are_refused_and_not_passed_over() {
    for type_flag in *b"89AMVDX" {
        assert_eq!(kind(&refusal(&[Archive::new().add(&File::new(type_flag, "a"))])), "unsupported");
    }
}

/// The error of a layer beyond these limits, which names the setting.
fn beyond(limits: Limits, archive: Archive, setting: &str) {
    let error = build_with(&[archive], 1 << 20, limits).unwrap_err();
    assert_eq!(kind(&error), "too_large", "{}", error.report());
    assert!(error.report().contains(setting), "{}", error.report());
}

#[test]
fn bombs_of_entries_names_and_bytes_meet_a_limit_that_the_error_names() {
    let many = (0..100).fold(Archive::new(), |archive, at| archive.file(format!("{at}"), ""));
    beyond(Limits::default().with_max_entries(99), many, "max_entries");
    let deep = Archive::new().file("d/".repeat(1000) + "f", "");
    beyond(Limits::default().with_max_entries(999), deep, "max_entries");
    let attributes = Archive::new().add(&File::new(b'0', "a").xattr("user.a", vec![1; 60_000]));
    beyond(Limits::default().with_max_entries(100), attributes.clone(), "max_entries");
    beyond(Limits::default().with_max_metadata(1000), attributes, "max_metadata");
    beyond(Limits::default().with_max_size(4000), Archive::new().file("a", vec![0; 3000]), "max_size");
}

#[test]
fn a_symlink_that_many_entries_go_through_makes_no_more_directories_than_the_limit() {
    let lower = Archive::new().symlink("a", "d/".repeat(1500));
    let limits = Limits::default().with_max_entries(1000);
    let error = build_with(&[lower, Archive::new().file("a/x", "")], 1 << 20, limits).unwrap_err();
    assert_eq!(kind(&error), "too_large");
}

#[test]
fn a_sparse_file_of_8_eib_meets_the_limit_of_bytes() {
    let file =
        File::new(b'0', "a").pax("GNU.sparse.map", "0,0").pax("GNU.sparse.size", (u64::MAX / 2).to_string());
    beyond(Limits::default(), Archive::new().add(&file), "max_size");
}

#[test]
fn maps_of_sparse_files_that_overlap_exceed_the_file_or_lie_about_the_data_are_refused() {
    for map in ["0,8,4,8", "8,8,0,8", "0,20", "0,8", "0", "99999999999999999999,1", "18446744073709551615,16"]
    {
        let file = File::new(b'0', "a").data([1; 16]).pax("GNU.sparse.map", map).pax("GNU.sparse.size", "16");
        assert_eq!(kind(&refusal(&[Archive::new().add(&file)])), "malformed", "{map}");
    }
}

#[test]
fn a_zstd_window_of_2_gib_meets_a_limit_that_the_error_names() {
    // A frame without a size, whose window descriptor asks for 2^31 bytes.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let mut decoder = hoist_rootfs::Decoder::new(&frame[..], &Limits::default()).unwrap();
    let error = decoder.read(&mut [0; 100]).unwrap_err();
    assert!(kind(&error) == "too_large" && error.report().contains("max_window"), "{}", error.report());
}

#[test]
fn a_wrong_diff_id_is_an_error_however_sound_the_archive_is() {
    let (archive, budget) = (Archive::new().file("a", "").end(), Arc::new(Budget::default()));
    let mut unpacker =
        Unpacker::new(Spool::new(tempfile::tempfile().unwrap()), Digest::sha256(b"other"), budget);
    unpacker.push(&archive).unwrap();
    assert_eq!(kind(&unpacker.finish().unwrap_err()), "digest_mismatch");
}

#[test]
fn the_same_layer_twice_is_as_good_as_once() {
    let layer = Archive::new().file("a", vec![1; 9000]).hard_link("b", "a");
    let image = build(&[layer.clone(), layer]);
    assert_eq!((image.paths(), image.node("a").links), (vec!["a", "b"], 2));
}
