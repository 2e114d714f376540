//! The directories that hosts are described in: one directory for each, `<host>/hosts.toml`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hoist_core::{Error, ErrorKind, Result};

use super::entry::Entry;
use super::{certs, toml_file};

/// Where containerd and Docker have theirs.
const USUAL: [&str; 2] = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];
/// What is said of hosts that have no directory of their own.
const DEFAULT: &str = "_default";
const MAX_FILE: u64 = 1 << 20; // hosts.toml; real ones have some hundred bytes

/// Where to look, in this order.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    paths: Vec<PathBuf>,
    /// Nobody named them: what of them cannot be read is passed over.
    are_usual: bool,
}

impl Default for Directories {
    fn default() -> Self {
        Self { paths: USUAL.iter().map(PathBuf::from).collect(), are_usual: true }
    }
}

impl Directories {
    /// Looks into this directory as well, and no longer into the usual ones.
    pub(super) fn add(&mut self, path: PathBuf) {
        if std::mem::take(&mut self.are_usual) {
            self.paths.clear();
        }
        self.paths.push(path);
    }

    /// Looks nowhere.
    pub(super) fn clear(&mut self) {
        *self = Self { paths: Vec::new(), are_usual: false };
    }

    /// What is said of a registry: the hosts to ask, in their order. `None`: nothing.
    pub(super) fn entries(&self, registry: &str) -> Result<Option<Vec<Entry>>> {
        let outcome = self.find(registry).and_then(|found| found.map(|path| read(&path)).transpose());
        match outcome {
            Err(error) if self.are_usual && *error.kind() == ErrorKind::Storage => {
                tracing::warn!(registry, error = error.report(), "what is said of hosts cannot be read");
                Ok(None)
            }
            outcome => outcome,
        }
    }

    /// The directory for this registry: the first that has its name, or else the first for all.
    fn find(&self, registry: &str) -> Result<Option<PathBuf>> {
        let own = names(registry);
        let own = self.paths.iter().flat_map(|path| own.iter().map(move |name| path.join(name)));
        let default = self.paths.iter().map(|path| path.join(DEFAULT));
        for path in own.chain(default) {
            match path.try_exists() {
                Ok(false) => {}
                Ok(true) => return Ok(Some(path)),
                Err(cause) => return Err(Error::io(format!("cannot look for {}", path.display()), cause)),
            }
        }
        Ok(None)
    }
}

/// The directories that a registry may have: first the one without a colon, which not every file system takes.
fn names(registry: &str) -> Vec<String> {
    match registry.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => vec![format!("{host}_{port}_"), registry.to_owned()],
        _ => vec![registry.to_owned()],
    }
}

/// What is said in a host's directory. Without `hosts.toml`, its certificates are those of Docker's convention.
fn read(directory: &Path) -> Result<Vec<Entry>> {
    let path = directory.join("hosts.toml");
    let failed = |path: &Path, cause| Error::io(format!("cannot read {}", path.display()), cause);
    let text = match bounded(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(failed(&path, cause)),
    };
    tracing::debug!(directory = %directory.display(), "reading what is said of a host");
    if text.is_empty() {
        let tls = certs::find(directory).map_err(|cause| failed(directory, cause))?;
        return Ok(vec![Entry { tls, ..Entry::default() }]);
    }
    toml_file::parse(&text, &path)
}

fn bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_spelled_in_two_ways() {
        assert_eq!(names("ghcr.io"), ["ghcr.io"]);
        assert_eq!(names("registry.lan:5000"), ["registry.lan_5000_", "registry.lan:5000"]);
        assert_eq!(names("[::1]:5000"), ["[::1]_5000_", "[::1]:5000"]);
    }
}
