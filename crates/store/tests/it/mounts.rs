//! File systems that are mounted for a test: a read-only view of a store, and an overlay over one.

use std::path::Path;
use std::process::Command;

/// A mount that ends when this is dropped.
pub(crate) struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// Makes a directory read-only.
    pub(crate) fn read_only(dir: &'a Path) -> Self {
        mount(&["--bind", text(dir), text(dir)]);
        let mounted = Self(dir);
        mount(&["-o", "remount,bind,ro", text(dir)]);
        mounted
    }

    /// Mounts a memory file system here.
    pub(crate) fn tmpfs(dir: &'a Path) -> Self {
        mount(&["-t", "tmpfs", "hoist-tests", text(dir)]);
        Self(dir)
    }

    /// Mounts an overlay here, over `lower`. `upper` is a directory of a file system that can be an upper layer.
    pub(crate) fn overlay(dir: &'a Path, lower: &Path, upper: &Path) -> Self {
        for name in ["up", "work"] {
            std::fs::create_dir(upper.join(name)).unwrap();
        }
        let [lower, upper] = [lower, upper].map(text);
        let options = format!("lowerdir={lower},upperdir={upper}/up,workdir={upper}/work");
        mount(&["-t", "overlay", "overlay", "-o", &options, text(dir)]);
        Self(dir)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        _ = Command::new("umount").args(["--lazy", text(self.0)]).status();
    }
}

fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().expect("mount is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "run this test as root, who may mount file systems: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}
