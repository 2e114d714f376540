//! The shape of the source: few names in a folder, short files, and no circle of imports between a crate's folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How many names a crate's `src/` shows at most, and a folder below it.
const NAMES: (usize, usize) = (12, 15);
const LINES: usize = 450;

/// The `src/` of each crate.
fn crates() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found: Vec<_> =
        fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    found.retain(|src| src.is_dir());
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// All files and folders below this one.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The modules in a folder, `mod.rs`, `lib.rs` and `main.rs` left out.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    names.filter(|name| !["mod", "lib", "main"].contains(&&**name)).collect()
}

/// The text of a file without comments, and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.lines().map(|line| line.split("//").next().unwrap());
    code.take_while(|line| !line.starts_with("mod tests {")).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate that this code imports or names, by the first name of their path.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let group = path.strip_prefix('{').map(|rest| rest.split("};").next().unwrap());
        for path in group.map_or(vec![path], |group| group.split(',').collect()) {
            let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
            found.insert(path.trim().chars().take_while(|c| is_of_name(*c)).collect());
        }
    }
    found
}

/// Which folders, and files beside them, import which.
fn graph(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let rooms = names(src);
    let mut graph = BTreeMap::<_, BTreeSet<_>>::new();
    for file in below(src).into_iter().filter(|path| is_source(path)) {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let is_test = path.file_name().is_some_and(|name| name == "tests");
        let room = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        if rooms.contains(&room) && !is_test {
            let others =
                imports(&code(&file)).into_iter().filter(|other| rooms.contains(other) && *other != room);
            graph.entry(room.clone()).or_default().extend(others);
        }
    }
    graph
}

/// What is left of a graph when all that leads to no circle is taken away.
fn circles(mut graph: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let before = graph.len();
        let rooms: BTreeSet<_> = graph.keys().cloned().collect();
        let imported: BTreeSet<_> = graph.values().flatten().cloned().collect();
        for imports in graph.values_mut() {
            imports.retain(|other| rooms.contains(other));
        }
        graph.retain(|room, imports| !imports.is_empty() && imported.contains(room));
        if graph.len() == before {
            return graph;
        }
    }
}

#[test]
fn a_folder_shows_few_names() {
    for src in crates() {
        for dir in below(&src).into_iter().filter(|path| path.is_dir()).chain([src.clone()]) {
            let most = if dir == src { NAMES.0 } else { NAMES.1 };
            let names = names(&dir);
            assert!(names.len() <= most, "{} shows {} names: {names:?}", dir.display(), names.len());
        }
    }
}

#[test]
fn a_file_is_short() {
    for file in crates().iter().flat_map(|src| below(src)).filter(|path| is_source(path)) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LINES, "{} has {lines} lines", file.display());
    }
}

#[test]
fn folders_import_each_other_in_no_circle() {
    for src in crates() {
        let circles = circles(graph(&src));
        assert!(circles.is_empty(), "{}: {circles:#?}", src.display());
    }
}

#[test]
fn a_circle_is_found() {
    let room = |name: &str, imports: &str| (name.to_owned(), self::imports(imports));
    let below = [room("fs", ""), room("store", "use crate::{fs, paths::File};"), room("paths", "")];
    assert!(circles(below.clone().into()).is_empty());
    let circle = [room("fs", "use crate::store::Store;")];
    let found = circles(below.into_iter().chain(circle).collect());
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["fs", "store"]);
}
