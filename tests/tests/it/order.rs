//! The order of a pull's system calls: all is synced before a name leads to it, so that whatever moment the power
//! fails at, a ref leads to a whole image or to none.

use std::path::{Path, PathBuf};

use hoist_core::Digest;
use hoist_tests::{CALLS, Change, History, Node, Pull, PullSetup, STORE, Strace, TOP, Tree, What};
use serde::Deserialize;

const NOTHING: [String; 0] = [];

/// What of a ref's file says where it leads to.
#[derive(Deserialize)]
struct Record {
    image: Digest,
    resolved: Digest,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_syncs_all_before_it_gives_it_a_name() {
    let setup = PullSetup::new().await;
    for pull in [Pull::First, Pull::MovedTag] {
        let site = setup.before(pull);
        let before = Tree::read(site.path());
        let (pulled, calls) = site.pull_under(pull, &Strace::of(CALLS));
        pulled.ok();
        let checked = check(&History::of(before, &calls));
        assert_eq!(checked.broken, NOTHING, "{pull:?}");
        assert!(
            checked.placements >= 12,
            "{pull:?}: only {} renames and links were seen",
            checked.placements
        );
        assert_eq!(checked.refs, 1, "{pull:?}");
    }
}

/// What was looked at, and what was wrong with it.
#[derive(Debug, Default)]
struct Checked {
    placements: usize,
    refs: usize,
    broken: Vec<String>,
}

/// Checks the rules on everything that was done below a store's root.
fn check(history: &History) -> Checked {
    let mut checked = Checked::default();
    for change in history.changes() {
        let What::Named { given, is_placement: true, .. } = &change.what else { continue };
        let tree = history.tree_at(change.span.entered + 1);
        checked.placements += 1;
        for name in given {
            let place = path_of(&tree, name.dir) + "/" + &name.name;
            checked.broken.extend(unsynced_below(history, &tree, name.node, change, &place));
            checked.broken.extend(written_after(history, name.node, change, &place));
            if place
                .strip_prefix(STORE)
                .is_some_and(|p| p.starts_with("/refs/") && !p.ends_with("~index.json"))
            {
                checked.refs += 1;
                checked.broken.extend(ref_too_early(history, &tree, name.node, change, &place));
            }
        }
    }
    checked.broken.extend(lost_names(history, &history.tree_at(history.end()), history.end(), None));
    checked
}

/// Rule 1: what is put into place is synced: a file, or a directory with all that is below it.
fn unsynced_below(history: &History, tree: &Tree, node: Node, at: &Change, place: &str) -> Vec<String> {
    let unsynced = tree.walk(node).into_iter().filter(|(_, node)| !history.is_synced(*node, at.span.entered));
    unsynced
        .map(|(path, _)| format!("{}: not synced before it is put into place", join(place, &path)))
        .collect()
}

/// Rule 2: what is in place is not written any more.
fn written_after(history: &History, node: Node, at: &Change, place: &str) -> Option<String> {
    let is_late = |change: &&Change| {
        change.span.returned > at.span.returned
            && matches!(change.what, What::Written { file, .. } | What::Resized { file, .. } if file == node)
    };
    let late = history.changes().iter().find(is_late)?;
    Some(format!("{place}: written in line {}, after it was put into place", late.span.entered))
}

/// Rule 3: before a ref is in place, so is its image, and the markers that lead back to it; and no name that
/// was given until then can be lost any more, but those beside the ref itself.
fn ref_too_early(history: &History, tree: &Tree, node: Node, at: &Change, place: &str) -> Vec<String> {
    let record: Record = serde_json::from_slice(tree.content(node)).expect("a ref is JSON");
    let (algorithm, hex) = (record.image.algorithm().as_str(), record.image.hex());
    let in_store =
        place.strip_prefix(STORE).and_then(|p| p.strip_prefix('/')).expect("a ref is in the store");
    let marker = Digest::sha256(in_store.as_bytes());
    let mut needed = vec![format!("images/{algorithm}/{hex}/index.json")];
    for digest in [&record.image, &record.resolved] {
        needed.push(format!("names/{}/{}/{}", digest.algorithm().as_str(), digest.hex(), marker.hex()));
    }
    let missing = needed.iter().filter(|path| tree.find(TOP, Path::new(STORE).join(path)).is_none());
    let missing = missing.map(|path| format!("{place}: put into place before {path}"));
    let beside = Path::new(place).parent().and_then(|dir| tree.find(TOP, dir));
    missing.chain(lost_names(history, tree, at.span.entered, beside)).collect()
}

/// Rule 4: a directory in which a name was given is synced; but for those whose names are of no use to anybody
/// after a power cut.
fn lost_names(history: &History, tree: &Tree, moment: usize, but: Option<Node>) -> Vec<String> {
    let scratch = ["staging", "ingest", "arrivals"].map(|dir| Path::new(STORE).join(dir));
    let is_kept = |path: &Path| !scratch.iter().any(|dir| path.starts_with(dir));
    let dirs = tree
        .walk(TOP)
        .into_iter()
        .filter(|(path, node)| tree.is_dir(*node) && is_kept(path) && Some(*node) != but);
    let lost =
        dirs.filter(|(_, dir)| history.changes().iter().any(|change| is_lost(history, change, *dir, moment)));
    lost.map(|(path, _)| format!("{}: names in it are not synced at line {moment}", path.display())).collect()
}

fn is_lost(history: &History, change: &Change, dir: Node, moment: usize) -> bool {
    let What::Named { given, .. } = &change.what else { return false };
    change.span.entered < moment
        && given.iter().any(|name| name.dir == dir)
        && !history.is_durable(change, moment)
}

fn path_of(tree: &Tree, node: Node) -> String {
    let path = tree.walk(TOP).into_iter().find(|(_, found)| *found == node);
    path.expect("a directory has a name").0.display().to_string()
}

fn join(place: &str, below: &Path) -> String {
    let path: PathBuf = [Path::new(place), below].into_iter().flat_map(Path::components).collect();
    path.display().to_string()
}

/// The checker, on a trace in which all is well, and on others that break a rule each.
mod checker {
    use super::*;
    use hoist_tests::Call;

    /// A pull as it should be. `@image` stands for a digest's hex, `@marker` for that of the ref's path, and
    /// `@record` for what is in the ref.
    const GOOD: &str = r#"
1 mkdir("/top/var", 0777) = 0
1 mkdir("/top/var/lib", 0777) = 0
1 mkdir("/top/var/lib/store", 0700) = 0
1 openat(AT_FDCWD, "/top/var/lib/store", O_RDONLY) = 3
1 mkdirat(3, "staging", 0755) = 0
1 mkdirat(3, "blobs", 0755) = 0
1 mkdirat(3, "images", 0755) = 0
1 mkdirat(3, "images/sha256", 0755) = 0
1 mkdirat(3, "names", 0755) = 0
1 mkdirat(3, "names/sha256", 0755) = 0
1 mkdirat(3, "names/sha256/@image", 0755) = 0
1 mkdirat(3, "refs", 0755) = 0
1 syncfs(3) = 0
1 mkdirat(3, "staging/image", 0755) = 0
1 openat2(3, "staging/image", {flags=O_RDONLY|O_DIRECTORY}, 24) = 4
1 openat2(4, "index.json", {flags=O_RDWR|O_CREAT|O_EXCL, mode=0600}, 24) = 5
1 pwrite64(5, "who", 3, 0 <unfinished ...>
2 openat2(3, "blobs", {flags=O_RDONLY}, 24) = 6
1 <... pwrite64 resumed>) = 3
2 pwrite64(5, "le", 2, 3) = 2
2 fsync(5 <unfinished ...>
1 openat2(3, "images/sha256", {flags=O_RDONLY}, 24) = 7
2 <... fsync resumed>) = 0
2 linkat(4, "index.json", 6, "blob", 0) = 0
1 fsync(6) = 0
1 fsync(4) = 0
1 renameat2(3, "staging/image", 7, "@image", RENAME_NOREPLACE) = 0
1 fsync(7) = 0
1 openat2(3, "staging/marker", {flags=O_RDWR|O_CREAT}, 24) = 8
1 write(8, "refs/r", 6) = 6
1 fsync(8) = 0
1 openat2(3, "names/sha256/@image", {flags=O_RDONLY}, 24) = 9
1 renameat(3, "staging/marker", 9, "@marker") = 0
1 fsync(9) = 0
1 openat2(3, "staging/ref", {flags=O_RDWR|O_CREAT}, 24) = 10
1 write(10, "@record", 1000) = 1000
1 fsync(10) = 0
1 openat2(3, "refs", {flags=O_RDONLY}, 24) = 11
1 renameat(3, "staging/ref", 11, "r") = 0
1 fsync(11) = 0
1 close(11) = 0"#;

    #[test]
    fn a_trace_in_which_all_is_well_passes() {
        let checked = checked(GOOD);
        assert_eq!(checked.broken, NOTHING);
        assert_eq!((checked.placements, checked.refs), (4, 1));
    }

    #[test]
    fn a_file_that_is_not_synced_before_it_is_linked_is_found() {
        finds(&with("2 fsync(5 <", "2 fsync(4 <"), "blobs/blob: not synced");
        finds(
            &with("fsync resumed>) = 0", "fsync resumed>) = -1 EIO (Input/output error)"),
            "blobs/blob: not synced",
        );
    }

    #[test]
    fn a_sync_does_not_count_before_it_returned() {
        finds(
            &moved("2 <... fsync resumed>) = 0\n", "1 fsync(6)").replace("2 linkat", "1 linkat"),
            "blobs/blob: not synced",
        );
    }

    #[test]
    fn a_write_that_another_thread_has_under_way_is_not_covered_by_a_sync() {
        let late = moved("1 <... pwrite64 resumed>) = 3\n", "1 openat2(3, \"images/sha256\"");
        finds(&late, "blobs/blob: not synced");
    }

    #[test]
    fn a_write_to_what_is_in_place_is_found() {
        let late = moved("2 pwrite64(5, \"le\", 2, 3) = 2\n", "1 fsync(6)");
        finds(&late, "blobs/blob: written in line");
        finds(&late, "not synced before it is put into place");
    }

    #[test]
    fn a_directory_that_is_not_synced_before_it_is_renamed_is_found() {
        finds(&without("1 fsync(4) = 0\n"), "@image: not synced before it is put into place");
    }

    #[test]
    fn a_file_below_a_directory_that_is_renamed_must_be_synced() {
        let empty =
            "1 openat2(4, \"oci-layout\", {flags=O_RDWR|O_CREAT}, 24) = 12\n1 write(12, \"{}\", 2) = 2\n";
        finds(&GOOD.replace("1 fsync(6)", &format!("{empty}1 fsync(6)")), "@image/oci-layout: not synced");
    }

    #[test]
    fn a_ref_before_its_image_is_found() {
        let image =
            "1 renameat2(3, \"staging/image\", 7, \"@image\", RENAME_NOREPLACE) = 0\n1 fsync(7) = 0\n";
        finds(&moved(image, "1 close(11)"), "refs/r: put into place before images/sha256/@image/index.json");
        finds(&moved("1 fsync(7) = 0\n", "1 close(11)"), "images/sha256: names in it are not synced");
    }

    #[test]
    fn a_ref_before_its_marker_is_found() {
        let marker = "1 renameat(3, \"staging/marker\", 9, \"@marker\") = 0\n1 fsync(9) = 0\n";
        finds(&moved(marker, "1 close(11)"), "refs/r: put into place before names/sha256/@image/@marker");
        finds(&moved("1 fsync(9) = 0\n", "1 close(11)"), "names/sha256/@image: names in it are not synced");
    }

    #[test]
    fn a_ref_that_is_not_synced_itself_is_found() {
        finds(&without("1 fsync(10) = 0\n"), "refs/r: not synced before it is put into place");
        finds(&without("1 fsync(11) = 0\n"), "refs: names in it are not synced");
    }

    #[test]
    fn a_directory_above_the_store_that_is_not_synced_is_found() {
        finds(&with("1 syncfs(3) = 0\n", "1 fsync(3) = 0\n"), "var/lib: names in it are not synced");
    }

    /// Checks that the checker says this of a trace.
    #[track_caller]
    fn finds(trace: &str, words: &str) {
        let broken = checked(trace).broken;
        let words = filled(words);
        assert!(broken.iter().any(|found| found.contains(&words)), "no {words:?} in {broken:#?}");
    }

    fn checked(trace: &str) -> Checked {
        check(&History::of(Tree::empty(Path::new("/top")), &Call::read_all(filled(trace).trim())))
    }

    fn filled(text: &str) -> String {
        let image = Digest::sha256(b"an image");
        let record = format!(r#"{{"image":"{image}","resolved":"{image}"}}"#).replace('"', "\\x22");
        let marker = Digest::sha256(b"refs/r");
        text.replace("@image", image.hex()).replace("@marker", marker.hex()).replace("@record", &record)
    }

    /// The good trace without a line; another one is in its place.
    #[track_caller]
    fn with(line: &str, instead: &str) -> String {
        assert_eq!(GOOD.matches(line).count(), 1, "{line}");
        GOOD.replace(line, instead)
    }

    #[track_caller]
    fn without(line: &str) -> String {
        with(line, "")
    }

    /// The good trace with some lines only before another one.
    #[track_caller]
    fn moved(lines: &str, before: &str) -> String {
        without(lines).replace(before, &format!("{lines}{before}"))
    }
}
