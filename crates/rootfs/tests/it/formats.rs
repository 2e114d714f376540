//! Archives of every kind that layers come as.

use std::sync::Arc;

use hoist_core::Digest;
use hoist_rootfs::{Budget, Decoder, Limits, Spool, Unpacker};

use crate::support::archive::{record, with_checksum};
use crate::support::{Archive, File, build, build_with, refusal};

#[test]
fn a_long_path_comes_by_ustar_by_pax_and_by_gnu() {
    let long = format!("{}/name", "d".repeat(150));
    let pax = Archive::new().file(&long, "x");
    let gnu =
        Archive::new().add(&File::new(b'L', "././@LongLink").data(format!("{long}\0"))).file("short", "x");
    let mut header: [u8; 512] = Archive::new().file("name", "").0.try_into().unwrap();
    header[345..345 + 150].copy_from_slice(&[b'd'; 150]);
    let ustar = Archive::new().bytes(&with_checksum(header));
    for archive in [pax, gnu, ustar] {
        assert!(build(&[archive]).paths().contains(&&*long));
    }
}

#[test]
fn a_long_link_comes_by_pax_and_by_gnu() {
    let long = "t".repeat(3000);
    let gnu =
        Archive::new().add(&File::new(b'K', "././@LongLink").data(format!("{long}\0"))).symlink("a", "short");
    for archive in [Archive::new().symlink("a", &long), gnu] {
        assert_eq!(build(&[archive]).text("a"), long);
    }
}

#[test]
fn times_owners_and_modes_are_exact() {
    let file = |path: &str| File::new(b'0', path);
    let archive = Archive::new()
        .add(&file("fraction").pax("mtime", "1234567890.987654321999"))
        .add(&file("before").pax("mtime", "-1.25"))
        .add(&file("owners").owner(4_000_000_000, 2_147_483_648))
        .add(&file("by-pax").pax("uid", "3000000").pax("gid", "3000001"))
        .add(&file("suid").mode(0o6755))
        .add(&file("far").pax("mtime", "99999999999"));
    let image = build(&[archive]);
    assert_eq!(image.node("fraction").mtime, (1_234_567_890, 987_654_321));
    assert_eq!(image.node("before").mtime, (-2, 750_000_000));
    assert_eq!(image.node("owners").owner, (4_000_000_000, 2_147_483_648));
    assert_eq!(image.node("by-pax").owner, (3_000_000, 3_000_001));
    assert_eq!(image.node("suid").mode, 0o6755);
    assert_eq!(image.node("far").mtime, (99_999_999_999, 0));
}

#[test]
fn extended_attributes_are_exact() {
    let (capability, acl) =
        ([1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0, 6, 0]);
    let file = File::new(b'0', "a")
        .data("text")
        .xattr("user.k", "value")
        .xattr("user.empty", "")
        .xattr("security.capability", capability)
        .xattr("system.posix_acl_access", acl)
        .xattr("user.large", [7; 5000]);
    let image =
        build(&[Archive::new().add(&file).add(&File::new(b'5', "d").xattr("system.posix_acl_default", acl))]);
    let node = image.node("a");
    assert_eq!(node.content, b"text");
    assert_eq!(node.xattrs["user.k"], b"value");
    assert_eq!(node.xattrs["user.empty"], b"");
    assert_eq!(node.xattrs["security.capability"], capability);
    assert_eq!(node.xattrs["system.posix_acl_access"], acl);
    assert_eq!(node.xattrs["user.large"], [7; 5000]);
    assert_eq!(image.node("d").xattrs["system.posix_acl_default"], acl);
}

#[test]
fn attributes_of_other_systems_and_of_overlayfs_are_left_out() {
    let file = File::new(b'0', "a")
        .xattr("trusted.overlay.opaque", "y")
        .xattr("user.overlay.redirect", "/etc")
        .xattr("com.apple.provenance", "x")
        .xattr("user.kept", "y");
    assert_eq!(
        build(&[Archive::new().add(&file)]).node("a").xattrs.keys().collect::<Vec<_>>(),
        ["user.kept"]
    );
}

#[test]
fn devices_and_fifos_are_kept() {
    let archive = Archive::new()
        .add(&File::new(b'3', "null").device(1, 3))
        .add(&File::new(b'4', "disk").device(4095, 1_048_575))
        .add(&File::new(b'6', "fifo"));
    let image = build(&[archive]);
    assert_eq!(image.node("null").device, Some((1, 3)));
    assert_eq!(image.node("disk").device, Some((4095, 1_048_575)));
    assert_eq!(image.node("fifo").kind, "other");
}

#[test]
fn sparse_files_of_every_kind_have_their_holes() {
    let mut expected = vec![0; 10_000];
    expected[1024..1026].copy_from_slice(b"ab");
    expected[5000..5002].copy_from_slice(b"cd");
    let version = |minor: &str, major: &str, data: &[u8]| {
        let file =
            File::new(b'0', "x").data(data).pax("GNU.sparse.name", "a").pax("GNU.sparse.realsize", "10000");
        file.pax("GNU.sparse.major", major).pax("GNU.sparse.minor", minor)
    };
    let in_data = [b"2\n1024\n2\n5000\n2\n".to_vec(), vec![0; 512 - 16], b"abcd".to_vec()].concat();
    let mut pairs = version("0", "0", b"abcd");
    for number in [("offset", "1024"), ("numbytes", "2"), ("offset", "5000"), ("numbytes", "2")] {
        pairs = pairs.pax(format!("GNU.sparse.{}", number.0), number.1);
    }
    let archives = [
        Archive::new().add(&pairs),
        Archive::new().add(&version("1", "0", b"abcd").pax("GNU.sparse.map", "1024,2,5000,2")),
        Archive::new().add(&version("0", "1", &in_data)),
        old_gnu_sparse(),
    ];
    for archive in archives {
        assert_eq!(build(&[archive]).node("a").content, expected);
    }
}

/// The map of the old format: one part in the header, the other one in a block of its own.
fn old_gnu_sparse() -> Archive {
    let mut header: [u8; 512] = Archive::new().add(&File::new(b'S', "a").size(4)).0.try_into().unwrap();
    header[257..265].copy_from_slice(b"ustar  \0");
    let number = |number: u64| format!("{number:011o}\0").into_bytes();
    header[386..410].copy_from_slice(&[number(1024), number(2)].concat());
    header[482] = 1;
    header[483..495].copy_from_slice(&number(10_000));
    let mut more = [0; 512];
    more[..24].copy_from_slice(&[number(5000), number(2)].concat());
    Archive::new().bytes(&with_checksum(header)).bytes(&more).bytes(b"abcd")
}

#[test]
fn a_layer_may_arrive_in_pieces_of_any_size() {
    let archive =
        Archive::new().dir("d").file("d/a", vec![1; 9000]).file("b".repeat(200), "x").symlink("c", "d");
    let whole = build(std::slice::from_ref(&archive)).bytes;
    for piece in [1, 7, 511, 512, 513, 4096] {
        assert_eq!(
            build_with(std::slice::from_ref(&archive), piece, Limits::default()).unwrap().bytes,
            whole
        );
    }
}

/// Decompresses and unpacks these bytes, as the layer of this archive.
fn unpack(compressed: &[u8], archive: &[u8]) -> hoist_core::Result<()> {
    let limits = Limits::default().with_max_window(8 << 20);
    let budget = Arc::new(Budget::new(limits.clone()));
    let mut unpacker =
        Unpacker::new(Spool::new(tempfile::tempfile().unwrap()), Digest::sha256(archive), budget);
    let (mut decoder, mut buffer) = (Decoder::new(compressed, &limits)?, vec![0; 1000]);
    loop {
        match decoder.read(&mut buffer)? {
            0 => return unpacker.finish().map(drop),
            count => unpacker.push(&buffer[..count])?,
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

#[test]
fn a_layer_is_plain_or_compressed_in_one_or_several_parts() {
    let archive = Archive::new().file("a", vec![1; 100_000]).end();
    let (one, two) = archive.split_at(40_000);
    let skippable = [b"\x5a\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(&archive)].concat();
    let compressed = [
        archive.clone(),
        gzip(&archive),
        zstd(&archive),
        [gzip(one), gzip(two), gzip(b"")].concat(),
        [zstd(one), zstd(two)].concat(),
        skippable,
        [gzip(&archive), vec![0; 100]].concat(),
    ];
    for (at, compressed) in compressed.iter().enumerate() {
        unpack(compressed, &archive).unwrap_or_else(|error| panic!("{at}: {}", error.report()));
    }
}

#[test]
fn truncated_and_damaged_layers_are_refused() {
    let archive = Archive::new().file("a", vec![1; 100_000]).end();
    for whole in [gzip(&archive), zstd(&archive)] {
        for length in [3, 7, whole.len() / 2, whole.len() - 1] {
            let error = unpack(&whole[..length], &archive).unwrap_err();
            assert!(["malformed", "digest_mismatch"].contains(&error.kind().as_str()), "{error}");
        }
    }
    assert_eq!(
        unpack(&archive[..archive.len() - 2000], &archive).unwrap_err().kind().as_str(),
        "digest_mismatch"
    );
}

#[test]
fn another_compression_is_named() {
    let error = unpack(b"\xfd7zXZ\0...", b"").unwrap_err();
    assert!(error.report().contains("xz") && error.kind().as_str() == "unsupported", "{}", error.report());
}

#[test]
fn an_archive_may_end_without_blocks_of_zeros_and_not_within_an_entry() {
    let budget = Arc::new(Budget::default());
    let whole = Archive::new().file("a", "text").0;
    assert!(crate::support::layer(&whole, 100, &budget).is_ok());
    for length in [1, 511, 513, 1000] {
        assert!(crate::support::layer(&whole[..length], 100, &budget).is_err());
    }
}

#[test]
fn global_headers_that_only_comment_are_passed_over_and_others_refused() {
    let with = |record: Vec<u8>| Archive::new().add(&File::new(b'g', "g").data(record)).file("a", "");
    assert_eq!(build(&[with(record(b"comment", b"0123"))]).paths(), ["a"]);
    assert_eq!(refusal(&[with(record(b"path", b"b"))]).kind().as_str(), "unsupported");
}
