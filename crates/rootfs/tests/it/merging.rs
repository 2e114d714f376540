//! Layers merge by the image spec.

use crate::support::{Archive, File, build, refusal};

#[test]
fn an_upper_file_replaces_a_lower_one() {
    let lower = Archive::new().file("a", "old").file("b", "kept");
    let image = build(&[lower, Archive::new().file("a", "new")]);
    assert_eq!((image.text("a").as_str(), image.text("b").as_str()), ("new", "kept"));
    assert!(!image.bytes.windows(3).any(|bytes| bytes == b"old"), "what is replaced is not in the image");
}

#[test]
fn a_directory_of_two_layers_has_the_upper_ones_attributes_and_the_files_of_both() {
    let lower = Archive::new().dir("d").file("d/a", "");
    let upper = Archive::new().add(&File::new(b'5', "d").mode(0o1777).owner(3, 4)).file("d/b", "");
    let image = build(&[lower, upper]);
    assert_eq!(image.paths(), ["d", "d/a", "d/b"]);
    assert_eq!((image.node("d").mode, image.node("d").owner), (0o1777, (3, 4)));
}

#[test]
fn a_layer_without_an_entry_for_a_directory_leaves_it_as_it_was() {
    let lower = Archive::new().add(&File::new(b'5', "d").mode(0o700));
    let image = build(&[lower, Archive::new().file("d/a", "")]);
    assert_eq!(image.node("d").mode, 0o700);
}

#[test]
fn a_whiteout_removes_a_file_or_a_whole_directory() {
    let lower = Archive::new().file("a", "").file("d/e/f", "").file("d/g", "");
    let image = build(&[lower, Archive::new().file(".wh.a", "").file("d/.wh.e", "")]);
    assert_eq!(image.paths(), ["d", "d/g"]);
}

#[test]
fn an_opaque_marker_hides_all_of_the_lower_layers_and_nothing_of_its_own() {
    let lower = Archive::new().file("d/old/x", "").file("d/older", "");
    for upper in [
        Archive::new().dir("d").file("d/.wh..wh..opq", "").file("d/new", ""),
        Archive::new().dir("d").file("d/new", "").file("d/.wh..wh..opq", ""),
    ] {
        assert_eq!(build(&[lower.clone(), upper]).paths(), ["d", "d/new"]);
    }
}

#[test]
fn whiteouts_of_what_is_not_there_leave_nothing() {
    let image = build(&[Archive::new().file(".wh.a", "").file("d/.wh.b", "").file("e/f/.wh..wh..opq", "")]);
    assert!(image.paths().is_empty());
}

#[test]
fn hard_links_share_an_inode_within_a_layer_and_across_layers() {
    let lower = Archive::new().file("a", "text").hard_link("b", "a");
    let image = build(&[lower, Archive::new().hard_link("d/c", "/a")]);
    assert_eq!(image.node("a").links, 3);
    assert!(["b", "d/c"].iter().all(|path| image.node(path) == image.node("a")));
}

#[test]
fn a_hard_link_keeps_the_file_that_it_was_made_to() {
    let lower = Archive::new().file("a", "one").hard_link("b", "a").file("a", "two");
    let image = build(&[lower, Archive::new().file(".wh.a", "")]);
    assert_eq!((image.paths(), image.text("b").as_str(), image.node("b").links), (vec!["b"], "one", 1));
}

#[test]
fn a_symlink_may_have_a_hard_link() {
    let image = build(&[Archive::new().symlink("a", "nowhere").hard_link("b", "a")]);
    assert_eq!((image.text("b").as_str(), image.node("b").links), ("nowhere", 2));
}

#[test]
fn entries_below_a_lower_layers_symlink_go_to_where_it_leads() {
    let lower = Archive::new().dir("usr/lib").symlink("lib", "usr/lib").symlink("far", "/lib/../lib");
    let image = build(&[lower, Archive::new().file("lib/a", "").file("far/b", "")]);
    assert_eq!(image.paths(), ["far", "lib", "usr", "usr/lib", "usr/lib/a", "usr/lib/b"]);
}

#[test]
fn entries_below_a_symlink_of_their_own_layer_go_to_where_it_leads() {
    let image = build(&[Archive::new().symlink("lib", "usr/lib").file("lib/a", "").dir("usr")]);
    assert_eq!(image.paths(), ["lib", "usr", "usr/lib", "usr/lib/a"]);
}

#[test]
fn whiteouts_below_a_lower_layers_symlink_hide_what_it_leads_to() {
    let lower = Archive::new().file("usr/lib/a", "").file("usr/lib/b", "").symlink("lib", "usr/lib");
    let image = build(&[lower, Archive::new().file("lib/.wh.a", "")]);
    assert_eq!(image.paths(), ["lib", "usr", "usr/lib", "usr/lib/b"]);
}

#[test]
fn an_entry_for_a_directory_replaces_a_lower_layers_symlink() {
    let lower = Archive::new().file("usr/lib/a", "").symlink("lib", "usr/lib");
    let image = build(&[lower, Archive::new().dir("lib").file("lib/b", "")]);
    assert_eq!(image.paths(), ["lib", "lib/b", "usr", "usr/lib", "usr/lib/a"]);
}

#[test]
fn a_symlink_that_leads_to_a_file_or_in_a_circle_has_nothing_below_it() {
    for lower in
        [Archive::new().symlink("a", "b").symlink("b", "a"), Archive::new().file("b", "").symlink("a", "b")]
    {
        let error = refusal(&[lower, Archive::new().file("a/x", "")]);
        assert_eq!(error.kind().as_str(), "malformed");
    }
}

#[test]
fn the_root_has_what_its_entry_says_and_usual_values_without_one() {
    let image = build(&[Archive::new().add(&File::new(b'5', "./").mode(0o700).owner(1, 2))]);
    assert_eq!((image.node("").mode, image.node("").owner), (0o700, (1, 2)));
    let image = build(&[Archive::new()]);
    assert_eq!((image.node("").mode, image.node("").owner, image.node("").links), (0o755, (0, 0), 2));
}

#[test]
fn no_layers_are_an_empty_root() {
    assert!(build(&[]).paths().is_empty());
}
