//! The files that keep credentials, in the order in which they are searched.
//!
//! If `REGISTRY_AUTH_FILE` is set, it names the only file, as for podman. Otherwise docker's files come first, where
//! `hoist login` writes too, and then podman's
//! ([containers-auth.json(5)](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md)).

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind as Io, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hoist_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::docker_config::DockerConfig;

const MAX_CONFIG: u64 = 1 << 20; // docker's own have some kilobytes

/// The environment: the value of a variable that is set, and not empty.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// One file, which need not exist, or the variable in place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthFile {
    /// The content of `DOCKER_AUTH_CONFIG`, which CI systems set.
    Variable,
    /// A file that the user has named: it is an error if it is missing.
    Named(PathBuf),
    /// A file that may be missing.
    File(PathBuf),
    /// Docker's file of before 2015.
    Legacy(PathBuf),
}

/// All files to search.
pub(crate) fn auth_files(environment: Environment<'_>) -> Vec<AuthFile> {
    if let Some(named) = path(environment, "REGISTRY_AUTH_FILE") {
        return vec![AuthFile::Named(named)];
    }
    let home = path(environment, "HOME");
    let at_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let runtime = match path(environment, "XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("containers"),
        None => Path::new("/run/containers").join(rustix::process::getuid().as_raw().to_string()),
    };
    let settings = path(environment, "XDG_CONFIG_HOME").or_else(|| at_home(".config"));
    let mut files = Vec::new();
    files.extend(environment("DOCKER_AUTH_CONFIG").map(|_| AuthFile::Variable));
    files.extend(docker_config_path(environment).map(AuthFile::File));
    files.push(AuthFile::File(runtime.join("auth.json")));
    files.extend(settings.map(|settings| AuthFile::File(settings.join("containers/auth.json"))));
    files.extend(at_home(".dockercfg").map(AuthFile::Legacy));
    files
}

/// The file that `hoist login` writes.
pub(crate) fn login_file(environment: Environment<'_>) -> Option<PathBuf> {
    path(environment, "REGISTRY_AUTH_FILE").or_else(|| docker_config_path(environment))
}

fn docker_config_path(environment: Environment<'_>) -> Option<PathBuf> {
    let at_home = || Some(path(environment, "HOME")?.join(".docker"));
    Some(path(environment, "DOCKER_CONFIG").or_else(at_home)?.join("config.json"))
}

fn path(environment: Environment<'_>, name: &str) -> Option<PathBuf> {
    environment(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl AuthFile {
    /// Reads it. `None`: there is no such file.
    pub(crate) fn read(&self, environment: Environment<'_>) -> Result<Option<DockerConfig>> {
        let (text, is_legacy) = match self {
            Self::Variable => {
                let value = environment("DOCKER_AUTH_CONFIG").unwrap_or_default();
                (Some(Zeroizing::new(value.into_vec())), false)
            }
            Self::Named(path) | Self::File(path) => (read_file(path)?, false),
            Self::Legacy(path) => (read_file(path)?, true),
        };
        let Some(text) = text else {
            let missing = || Error::new(ErrorKind::InvalidConfig, format!("there is no {self}"));
            return match self {
                Self::Named(_) => Err(missing().with_help("correct REGISTRY_AUTH_FILE, or unset it")),
                _ => Ok(None),
            };
        };
        let config = if is_legacy { DockerConfig::parse_legacy(&text) } else { DockerConfig::parse(&text) };
        config.map(Some).map_err(|wrong| self.wrong(&wrong))
    }

    /// The error that names the unreadable part.
    pub(crate) fn wrong(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::InvalidConfig,
            format!("{self} cannot be read: {what} is not what it should be"),
        )
        .with_help("correct it, or log in again")
    }
}

impl std::fmt::Display for AuthFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => f.write_str("DOCKER_AUTH_CONFIG"),
            Self::Named(path) | Self::File(path) | Self::Legacy(path) => path.display().fmt(f),
        }
    }
}

/// The content of a file. `None`: there is no such file.
pub(crate) fn read_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let failed = |cause| {
        Error::new(ErrorKind::InvalidConfig, format!("cannot read {}", path.display())).with_source(cause)
    };
    // Opening a FIFO would block.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(cause) if matches!(cause.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
        Err(cause) => return Err(failed(cause)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_CONFIG + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(failed(std::io::Error::other("it is too large")));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_with(variables: &[(&str, &str)]) -> Vec<AuthFile> {
        let lookup = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        auth_files(&lookup)
    }

    fn file(path: &str) -> AuthFile {
        AuthFile::File(path.into())
    }

    #[test]
    fn dockers_files_come_before_podmans() {
        let runtime = format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw());
        assert_eq!(
            files_with(&[("HOME", "/home/jo")]),
            [
                file("/home/jo/.docker/config.json"),
                file(&runtime),
                file("/home/jo/.config/containers/auth.json"),
                AuthFile::Legacy("/home/jo/.dockercfg".into()),
            ]
        );
        assert_eq!(
            files_with(&[
                ("DOCKER_AUTH_CONFIG", "{}"),
                ("DOCKER_CONFIG", "/docker"),
                ("XDG_RUNTIME_DIR", "/run/user/1"),
                ("XDG_CONFIG_HOME", "/settings"),
            ]),
            [
                AuthFile::Variable,
                file("/docker/config.json"),
                file("/run/user/1/containers/auth.json"),
                file("/settings/containers/auth.json"),
            ]
        );
    }

    #[test]
    fn the_file_that_the_user_names_is_the_only_one() {
        let files = files_with(&[("REGISTRY_AUTH_FILE", "/a.json"), ("HOME", "/h"), ("DOCKER_CONFIG", "/d")]);
        assert_eq!(files, [AuthFile::Named("/a.json".into())]);
    }
}
