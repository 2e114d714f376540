//! Symlinks, FIFOs, directories and files that somebody planted in a store, at every path that a pull makes or opens:
//! each command works or says what is wrong, none waits for what never comes, and nothing is written outside.
//!
//! A part of all is tried; all are with `HOIST_PLANTED=all` (`just planted`), and so many with a number. `HOIST_SEED`
//! makes another part.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, iter};

use hoist_testkit::check_layout;
use hoist_tests::{Dice, Output, Pull, PullSetup, STORE, Site, Tree, hoist_binary, in_parallel, run};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// How many plants are tried, unless told otherwise.
const TRIALS: usize = 100;
/// Who takes longer than this, in seconds, is taken to wait for ever; all of it is done in a tenth of a second.
const PATIENCE: &str = "60";
const NOTHING: [String; 0] = [];

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// A symlink to a copy of what was there, elsewhere.
    LinkToCopy,
    /// A symlink to a directory elsewhere.
    LinkToDir,
    /// A symlink to nothing, where a file could be made.
    LinkToNothing,
    Fifo,
    Dir,
    File,
}

const PLANTS: [Plant; 6] =
    [Plant::LinkToCopy, Plant::LinkToDir, Plant::LinkToNothing, Plant::Fifo, Plant::Dir, Plant::File];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_planted_in_a_store_leads_nowhere_and_holds_nobody_up() {
    let setup = PullSetup::new().await;
    let site = setup.before(Pull::MovedTag);
    let before = Tree::read(site.path());
    site.pull(Pull::MovedTag).ok();
    let after = Tree::read(site.path());
    let paths = paths(&site);
    let trees = [&before, &after];
    let trials = trees.iter().flat_map(|tree| paths.iter().map(move |path| (*tree, path)));
    let mut trials: Vec<_> =
        trials.flat_map(|(tree, path)| PLANTS.map(|plant| (tree, path, plant))).collect();
    Dice::new(0).shuffle(&mut trials);
    let all = trials.len();
    trials.truncate(match env::var("HOIST_PLANTED").as_deref() {
        Ok("all") => all,
        Ok(number) => number.parse().expect("all, or a number"),
        Err(_) => TRIALS,
    });
    println!("{} of {all} plants", trials.len());
    let wrong = in_parallel(trials, |(tree, path, plant)| {
        let wrong = try_with(&setup.site(tree), path, plant).err()?;
        Some(format!("{plant:?} at {}: {wrong}", path.display()))
    });
    assert_eq!(wrong, NOTHING);
}

/// All paths in a store, and those that are there only while a pull is going on.
fn paths(site: &Site) -> Vec<PathBuf> {
    let root = Path::new(STORE);
    let there = Tree::read(&site.root()).walk(hoist_tests::TOP).into_iter().map(|(path, _)| path);
    let there: Vec<PathBuf> = there.filter(|path| path.parent().is_some()).collect();
    let blobs = there.iter().filter(|path| path.starts_with("blobs/sha256") && path.iter().count() == 3);
    let ingests = blobs.flat_map(|blob| {
        let data = Path::new("ingest").join(blob.file_name().expect("a blob has a name"));
        [data.with_extension("journal"), data]
    });
    let more = ["staging", "ingest", "blobs/sha512", "images/sha512", "staging/1-0"].map(PathBuf::from);
    let ingests: Vec<PathBuf> = ingests.collect();
    let mut paths: Vec<PathBuf> =
        there.into_iter().chain(ingests).chain(more).map(|p| root.join(p)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Plants something, and runs each command: what is wrong then.
fn try_with(site: &Site, path: &Path, plant: Plant) -> Result<(), String> {
    let elsewhere = TempDir::new().expect("a temporary directory can be made");
    plant.put(&site.path().join(path), elsewhere.path());
    let before = state(elsewhere.path());
    let gc: [Vec<&str>; 2] = [vec!["gc"], vec!["gc", "--all"]];
    let [first, force] = [Pull::First, Pull::MovedTag].map(|pull| site.pull_arguments(pull));
    let reference = *first.last().expect("a reference");
    let platform = first[3];
    let inspect = vec!["inspect", "--platform", platform, reference];
    let remove = vec!["remove", "--platform", platform, reference];
    let commands = site.questions().into_iter().chain([inspect, first, force]).chain(gc);
    for arguments in commands.chain(iter::once(remove)) {
        let output = within_patience(&site.root(), &arguments);
        let says_so = output.code == 0
            || output.stderr.lines().any(|line| line.starts_with("hoist: "))
            || arguments[0] == "is-cached";
        if !(0..=12).contains(&output.code) || !says_so || output.stderr.contains("panicked") {
            return Err(format!("{arguments:?}: {output:?}"));
        }
        if state(elsewhere.path()) != before {
            return Err(format!("{arguments:?} changed what is elsewhere"));
        }
        // Who trusts the store takes what is there; who does not gets what he asked for.
        if arguments.contains(&"--force") && output.code == 0 {
            let path = PathBuf::from(output.ok());
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            check_layout(&path, &format!("sha256:{name}")).map_err(|why| format!("{arguments:?}: {why}"))?;
        }
    }
    Ok(())
}

/// Runs `hoist`, which is killed if it does not end.
fn within_patience(root: &Path, arguments: &[&str]) -> Output {
    let hoist = hoist_binary();
    let [root, hoist] = [root, &hoist].map(|path| path.to_str().expect("plain names"));
    run("timeout", &[&["--signal=KILL", PATIENCE, hoist, "--root", root][..], arguments].concat())
}

impl Plant {
    /// Puts it where something is, or could be.
    fn put(self, path: &Path, elsewhere: &Path) {
        let target = elsewhere.join("target");
        if path.exists() {
            run("cp", &["-r", plain(path), plain(&target)]).ok();
        }
        run("rm", &["-rf", plain(path)]).ok();
        fs::create_dir_all(path.parent().expect("a path in the store")).unwrap();
        match self {
            Self::LinkToCopy => symlink(&target, path).unwrap(),
            Self::LinkToDir => symlink(elsewhere, path).unwrap(),
            Self::LinkToNothing => symlink(elsewhere.join("nothing"), path).unwrap(),
            Self::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            Self::Dir => fs::create_dir_all(path.join("planted")).unwrap(),
            Self::File => fs::write(path, "planted").unwrap(),
        }
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}

/// A path, its mode, when it was changed, and what is in it.
type State = (PathBuf, u32, i64, i64, Option<Vec<u8>>);

/// All that is in a directory, with what would show that it was touched.
fn state(dir: &Path) -> Vec<State> {
    let tree = Tree::read(dir).walk(hoist_tests::TOP);
    let mut state: Vec<_> = tree
        .into_iter()
        .map(|(path, _)| {
            let whole = dir.join(&path);
            let meta = whole.metadata().unwrap();
            (path, meta.mode(), meta.mtime(), meta.mtime_nsec(), fs::read(whole).ok())
        })
        .collect();
    state.sort();
    state
}
