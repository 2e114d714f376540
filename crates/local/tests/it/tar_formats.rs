//! The forms of tar files: what tar extracts, hoist reads; and what is damaged is told as damaged.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use hoist_core::{Descriptor, Error, ErrorKind, PulledImage};
use hoist_local::Archive;
use tar::{Builder, EntryType, Header};

use crate::site::{LAYER, Site, amd64, append, layout, tar_of};

/// The place of a blob in an archive.
fn blob(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Descriptor::of(LAYER, content).digest.hex())
}

async fn is_loaded(archive: Builder<Vec<u8>>) {
    let site = Site::new();
    let loaded = site.load(archive, false).await.unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(fs::read(loaded[0].path.join(blob(b"a layer"))).unwrap(), b"a layer");
}

#[tokio::test]
async fn a_header_about_the_whole_archive_is_passed_over() {
    for (kind, content) in [
        (EntryType::XGlobalHeader, &b"20 comment=built by\n"[..]),
        (EntryType::XGlobalHeader, b""),
        (EntryType::new(b'V'), b""),
    ] {
        let mut archive = Builder::new(Vec::new());
        append(&mut archive, "pax_global_header", kind, "", content);
        for (name, content) in layout(b"a layer", "v1") {
            append(&mut archive, &name, EntryType::Regular, "", &content);
        }
        append(&mut archive, "pax_global_header", kind, "", content);
        is_loaded(archive).await;
    }
}

#[tokio::test]
async fn a_name_may_be_spelled_in_several_ways() {
    for prefix in ["./", "././", ".//", "./."] {
        let prefix = if prefix == "./." { "././/./" } else { prefix };
        let mut archive = Builder::new(Vec::new());
        append(&mut archive, "./", EntryType::Directory, "", b"");
        for (name, content) in layout(b"a layer", "v1") {
            append(&mut archive, &format!("{prefix}{name}"), EntryType::Regular, "", &content);
        }
        is_loaded(archive).await;
    }
}

#[tokio::test]
async fn a_link_within_the_archive_is_followed() {
    let name = blob(b"a layer");
    for (kind, target, place) in [
        (EntryType::Symlink, "../../layers/a.tar", "layers/a.tar"),
        (EntryType::Symlink, "./../sha256/a.tar", "blobs/sha256/a.tar"),
        (EntryType::Link, "layers/a.tar", "layers/a.tar"),
        (EntryType::Link, "./layers/a.tar", "layers/a.tar"),
    ] {
        let rest = layout(b"a layer", "v1").into_iter().filter(|(file, _)| *file != name);
        let mut archive = tar_of(&rest.collect::<Vec<_>>());
        append(&mut archive, &name, kind, target, b"");
        append(&mut archive, place, EntryType::Regular, "", b"a layer");
        is_loaded(archive).await;
    }
    let mut archive = Builder::new(Vec::new());
    append(&mut archive, "blobs", EntryType::Symlink, "content/pool", b"");
    for (name, content) in layout(b"a layer", "v1") {
        append(&mut archive, &name.replace("blobs/", "content/pool/"), EntryType::Regular, "", &content);
    }
    is_loaded(archive).await;
}

#[tokio::test]
async fn links_that_lead_nowhere_or_in_a_circle_lead_to_nothing() {
    let name = blob(b"a layer");
    for (from, to, target) in
        [(&*name, "nothing", "neither"), (&name, "a", "b"), (&name, "blobs/sha256", ".")]
    {
        let rest = layout(b"a layer", "v1").into_iter().filter(|(file, _)| *file != name);
        let mut archive = tar_of(&rest.collect::<Vec<_>>());
        append(&mut archive, from, EntryType::Link, to, b"");
        append(&mut archive, to, EntryType::Symlink, target, b"");
        append(&mut archive, "b", EntryType::Symlink, "a", b"");
        let error = Site::new().load(archive, false).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::NotFound, "{}", error.report());
    }
}

#[tokio::test]
async fn a_file_that_is_there_twice_counts_once() {
    let files = layout(b"a layer", "v1");
    for (name, content) in &files {
        let mut archive = tar_of(&files);
        append(&mut archive, name, EntryType::Regular, "", content);
        append(&mut archive, &format!("./{name}"), EntryType::Regular, "", content);
        append(&mut archive, name, EntryType::Link, name, b""); // as GNU tar adds a file for the second time
        is_loaded(archive).await;
    }
    let mut archive = Builder::new(Vec::new());
    append(&mut archive, &blob(b"a layer"), EntryType::Regular, "", b"cut o");
    for (name, content) in &files {
        append(&mut archive, name, EntryType::Regular, "", content);
    }
    is_loaded(archive).await;
}

#[tokio::test]
async fn a_member_that_is_none_of_a_layouts_is_passed_over() {
    let mut archive = tar_of(&layout(b"a layer", "v1"));
    let long = "directory/".repeat(30) + "file";
    let mut header = Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, &long, &b""[..]).unwrap();
    archive.append_pax_extensions([("path", "\u{e9}t\u{e9}/".repeat(40).as_bytes())]).unwrap();
    append(&mut archive, "short", EntryType::Regular, "", b"x");
    append(&mut archive, "not-utf-8-\u{fffd}", EntryType::Continuous, "", b"x");
    append(&mut archive, "back\\slash", EntryType::Regular, "", b"x");
    is_loaded(archive).await;
}

#[tokio::test]
async fn a_long_name_is_read_in_both_formats() {
    let name = blob(b"a layer");
    let rest: Vec<_> = layout(b"a layer", "v1").into_iter().filter(|(file, _)| *file != name).collect();
    let mut archive = tar_of(&rest);
    archive.append_pax_extensions([("path", name.as_bytes()), ("size", &b"7"[..])]).unwrap();
    append(&mut archive, "short", EntryType::Regular, "", b"a layer");
    is_loaded(archive).await;
    let mut archive = tar_of(&rest);
    let mut header = Header::new_gnu();
    header.set_size(7);
    let spelled = "./".repeat(60) + &name;
    append(&mut archive, "././@LongLink", EntryType::GNULongName, "", spelled.as_bytes());
    append(&mut archive, "short", EntryType::Regular, "", b"a layer");
    is_loaded(archive).await;
}

/// Writes a layout whose layer has holes, and archives it with GNU tar.
fn sparse_archive(dir: &Path, options: &[&str], pieces: u64) -> Vec<u8> {
    const STEP: u64 = 128 << 10;
    let mut content = vec![0; usize::try_from((pieces + 1) * STEP).unwrap()];
    for n in 0..pieces {
        let at = usize::try_from(n * STEP + 5000).unwrap();
        content[at..at + 5].copy_from_slice(b"piece");
    }
    for (name, bytes) in layout(&content, "v1") {
        let path = dir.join("layout").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::create(&path).unwrap();
        if bytes == content {
            file.set_len(bytes.len() as u64).unwrap();
            for n in 0..pieces {
                file.seek(SeekFrom::Start(n * STEP + 5000)).unwrap();
                file.write_all(b"piece").unwrap();
            }
        } else {
            file.write_all(&bytes).unwrap();
        }
    }
    let mut tar = Command::new("tar");
    tar.args(options).args(["-S", "-C", "layout", "-cf", "demo.tar", "."]).current_dir(dir);
    let status = tar.status().expect("this test needs GNU tar: apt-get install tar");
    assert!(status.success(), "{options:?}");
    content
}

#[tokio::test]
async fn a_sparse_file_has_its_holes() {
    for options in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        for pieces in [0, 1, 3, 40, 100] {
            let site = Site::new();
            let content = sparse_archive(site.dir.path(), options, pieces);
            let path = site.dir.path().join("demo.tar");
            assert!(
                path.metadata().unwrap().len() < content.len() as u64 || pieces > 3,
                "tar found no holes"
            );
            let loaded = Archive::open(path).unwrap().load(&site.store, &amd64(), false).await.unwrap();
            let image: PulledImage = loaded.into_iter().next().unwrap().unwrap();
            assert!(fs::read(image.path.join(blob(&content))).unwrap() == content, "{options:?} {pieces}");
        }
    }
}

#[tokio::test]
async fn a_sparse_file_whose_map_is_odd_is_damage() {
    for records in [
        &[("GNU.sparse.map", "0,7"), ("GNU.sparse.size", "x")][..],
        &[("GNU.sparse.map", "0,7")],
        &[("GNU.sparse.map", "0,7,1"), ("GNU.sparse.size", "7")],
        &[("GNU.sparse.map", "0,8"), ("GNU.sparse.size", "9")],
        &[("GNU.sparse.map", "4,4,0,3"), ("GNU.sparse.size", "9")],
        &[("GNU.sparse.map", "18446744073709551615,7"), ("GNU.sparse.size", "9")],
        &[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")],
        &[("size", "18446744073709551615")],
        &[("size", "x")],
    ] {
        let mut archive = tar_of(&layout(b"a layer", "v1"));
        let pairs = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        archive.append_pax_extensions(pairs).unwrap();
        append(&mut archive, "sparse", EntryType::Regular, "", b"a layer");
        let error = Site::new().load(archive, false).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{records:?}: {}", error.report());
    }
}

/// moby#42855 and many more: an archive that was copied in part.
#[tokio::test]
async fn a_truncated_archive_is_told_as_damage_and_not_as_a_full_or_unreadable_store() {
    let whole = tar_of(&layout(&b"a layer".repeat(200), "v1")).into_inner().unwrap();
    let end = whole.len() - 1024;
    for length in (1..end).step_by(97).chain((512..end).step_by(512)) {
        let site = Site::new();
        let path = site.write(&whole[..length]);
        let outcome = match Archive::open(path) {
            Ok(archive) => archive.load(&site.store, &amd64(), false).await,
            Err(error) => Err(error),
        };
        let outcome: Result<Vec<PulledImage>, Error> =
            outcome.and_then(|images| images.into_iter().collect());
        assert_eq!(site.held().0, usize::from(outcome.is_ok()));
        match outcome {
            // Only the padding of the last member is missing.
            Ok(_) => assert!(end - length < 512, "{length} of {end}"),
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::Malformed, "{length}: {}", error.report());
                let report = error.report();
                let is_told =
                    length < 512 && report.contains("it is no tar archive") || report.contains("cut off");
                assert!(is_told, "{length}: {report}");
            }
        }
    }
}

#[tokio::test]
async fn an_archive_without_a_mark_at_its_end_is_read() {
    let whole = tar_of(&layout(b"a layer", "v1")).into_inner().unwrap();
    let site = Site::new();
    let path = site.write(&whole[..whole.len() - 1024]);
    let loaded = Archive::open(path).unwrap().load(&site.store, &amd64(), false).await.unwrap();
    assert!(loaded[0].is_ok());
}

#[tokio::test]
async fn a_damaged_header_is_told_with_its_place() {
    let mut whole = tar_of(&layout(b"a layer", "v1")).into_inner().unwrap();
    whole[1024 + 512] ^= 0xff;
    let site = Site::new();
    let error = Archive::open(site.write(&whole)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Malformed);
    assert!(error.report().contains("damaged at byte 1536"), "{}", error.report());
}

/// podman, kaniko, Jib and `docker save` before 25 write this, the last with symlinks among its layers.
#[tokio::test]
async fn a_docker_archive_is_told_for_what_it_is() {
    let site = Site::new();
    let mut archive = Builder::new(Vec::new());
    append(&mut archive, "aa/layer.tar", EntryType::Regular, "", b"a layer");
    append(&mut archive, "bb/layer.tar", EntryType::Symlink, "../aa/layer.tar", b"");
    append(&mut archive, "manifest.json", EntryType::Regular, "", b"[]");
    let error = site.load(archive, false).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    for words in ["docker-archive", "docker 25", "oci-archive", "podman"] {
        assert!(error.report().contains(words), "no {words} in {}", error.report());
    }
}

#[tokio::test]
async fn a_layout_in_a_directory_of_the_archive_is_told_with_the_way_out() {
    let files = layout(b"a layer", "v1").into_iter().map(|(name, content)| (format!("demo/{name}"), content));
    let error = Site::new().load(tar_of(&files.collect::<Vec<_>>()), false).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert!(error.report().contains("tar -C demo "), "{}", error.report());
}

/// What a program such as tar makes of a directory is read, also where links are in it.
#[tokio::test]
async fn what_tar_makes_of_a_layout_with_links_is_read() {
    let site = Site::new();
    let dir = site.dir.path().join("layout");
    for (name, bytes) in layout(b"a layer", "v1") {
        fs::create_dir_all(dir.join(&name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
    fs::hard_link(dir.join(blob(b"a layer")), dir.join("aaa-first")).unwrap();
    symlink("blobs", dir.join("a-link")).unwrap();
    for format in ["gnu", "ustar", "posix", "v7"] {
        let mut tar = Command::new("tar");
        let format = format!("--format={format}");
        tar.args([&*format, "--sort=name", "-C", "layout", "-cf", "demo.tar", "."])
            .current_dir(site.dir.path());
        assert!(tar.status().expect("this test needs GNU tar: apt-get install tar").success());
        let archive = Archive::open(site.dir.path().join("demo.tar")).unwrap();
        let loaded = archive.load(&site.store, &amd64(), false).await.unwrap();
        assert!(loaded.iter().all(Result::is_ok), "{format}: {loaded:?}");
    }
}
