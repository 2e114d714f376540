//! Configurations as text: TOML, in a file or not.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};

use super::{Config, invalid};

impl Config {
    /// Reads a configuration.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the key. No value that could be a
    /// secret is repeated.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::read(text, "the configuration")?.checked("the configuration")
    }

    /// Reads a configuration from a file.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the file and the key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_file(path.as_ref())?.checked(path.as_ref().display())
    }

    /// As [`load`](Self::load), with what the environment says [in its place](Self::with_env): the two are checked
    /// together.
    pub fn load_with_env(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with_variables(path, |name| std::env::var_os(name))
    }

    /// As [`load_with_env`](Self::load_with_env), with this in place of the environment.
    pub fn load_with_variables(
        path: impl AsRef<Path>,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        Self::read_file(path.as_ref())?.with_variables(lookup)
    }

    fn read_file(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(ErrorKind::InvalidConfig, format!("cannot read {name}")).with_source(cause)
        })?;
        Self::read(&text, name)
    }

    fn read(text: &str, name: impl Display) -> Result<Self> {
        toml::from_str(text).map_err(|error| invalid(format!("{name}: {}", place(error, text))))
    }

    fn checked(self, name: impl Display) -> Result<Self> {
        self.check().map_err(|error| error.context(format!("{name} cannot be used")))?;
        Ok(self)
    }
}

/// The error and its place. The parser's own text would show the line, and with it a password.
fn place(mut error: toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    error.set_input(None);
    let what = without_value(error.to_string()).lines().collect::<Vec<_>>().join(" ");
    match before {
        Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
        None => what,
    }
}

/// A message of the parser's that does not repeat the text which it found where something else should be.
fn without_value(message: String) -> String {
    const FOUND: &str = "invalid type: string ";
    match (message.starts_with(FOUND), message.rsplit_once(", expected ")) {
        (true, Some((_, expected))) => format!("{FOUND}that is not shown, expected {expected}"),
        _ => message,
    }
}
