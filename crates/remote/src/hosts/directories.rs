//! The directories with descriptions of hosts: one directory for each host, `<host>/hosts.toml`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hoist_core::{Error, ErrorKind, Result};

use super::host_config::HostConfig;
use super::{certs, toml_file};

/// The directories of containerd and Docker.
const USUAL: [&str; 2] = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];
/// The description of all hosts without a directory of their own.
const DEFAULT: &str = "_default";
const MAX_FILE: u64 = 1 << 20; // hosts.toml; real ones have some hundred bytes

/// The directories to search, in this order.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    paths: Vec<PathBuf>,
    /// The user has not named them: unreadable ones are ignored.
    are_usual: bool,
}

impl Default for Directories {
    fn default() -> Self {
        Self { paths: USUAL.iter().map(PathBuf::from).collect(), are_usual: true }
    }
}

impl Directories {
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Searches these directories, and not the usual ones.
    pub(super) fn only(paths: Vec<PathBuf>) -> Self {
        Self { paths, are_usual: false }
    }

    /// A registry's hosts, in the order in which they are asked. `None`: no directory describes it.
    pub(super) fn configs(&self, registry: &str) -> Result<Option<Vec<HostConfig>>> {
        let outcome = self.find(registry).and_then(|found| found.map(|path| read(&path)).transpose());
        match outcome {
            Err(error) if self.are_usual && *error.kind() == ErrorKind::Storage => {
                tracing::warn!(registry, error = error.report(), "the descriptions of hosts cannot be read");
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

/// The names that a registry's directory may have. The first has no colon, which some file systems do not allow.
fn names(registry: &str) -> Vec<String> {
    match registry.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => vec![format!("{host}_{port}_"), registry.to_owned()],
        _ => vec![registry.to_owned()],
    }
}

/// The hosts that a directory describes. Without `hosts.toml`, its certificates follow Docker's convention.
fn read(directory: &Path) -> Result<Vec<HostConfig>> {
    let path = directory.join("hosts.toml");
    let failed = |path: &Path, cause| Error::io(format!("cannot read {}", path.display()), cause);
    let text = match bounded(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(failed(&path, cause)),
    };
    tracing::debug!(directory = %directory.display(), "reading the description of a host");
    if text.is_empty() {
        let tls = certs::find(directory).map_err(|cause| failed(directory, cause))?;
        return Ok(vec![HostConfig { tls, ..HostConfig::default() }]);
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
