//! Where the store is, unless it is said otherwise.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where programs that run for the whole machine keep their state (FHS 3.0, `/var/lib`).
const SYSTEM: &str = "/var/lib/hoist";

/// The store's directory, unless a configuration names another: `/var/lib/hoist` for root; for all others
/// `$XDG_DATA_HOME/hoist`, which usually is `~/.local/share/hoist`
/// ([XDG base directories](https://specifications.freedesktop.org/basedir/latest/)).
pub fn default_root() -> PathBuf {
    let is_root = rustix::process::geteuid().is_root();
    choose(is_root, std::env::var_os("XDG_DATA_HOME"), std::env::home_dir())
}

fn choose(is_root: bool, data_home: Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    // One that is not absolute is to be ignored, by the specification.
    let absolute = |path: &PathBuf| path.is_absolute();
    let data_home = data_home.map(PathBuf::from).filter(absolute);
    let share = || Some(home.filter(absolute)?.join(".local/share"));
    match data_home.or_else(share).filter(|_| !is_root) {
        Some(data) => data.join("hoist"),
        None => Path::new(SYSTEM).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_store_at_home_and_root_one_for_the_machine() {
        let home = || Some(PathBuf::from("/home/jo"));
        assert_eq!(choose(false, None, home()), Path::new("/home/jo/.local/share/hoist"));
        assert_eq!(choose(false, Some("/data".into()), home()), Path::new("/data/hoist"));
        assert_eq!(choose(false, Some("data".into()), home()), Path::new("/home/jo/.local/share/hoist"));
        assert_eq!(choose(true, Some("/data".into()), home()), Path::new("/var/lib/hoist"));
        assert_eq!(choose(false, None, None), Path::new("/var/lib/hoist"));
    }
}
