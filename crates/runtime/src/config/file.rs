//! Configurations as text: TOML, in a file or not.

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
        Self::read(text, "the configuration")
    }

    /// Reads a configuration from a file.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the file and the key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display();
        let text = std::fs::read_to_string(&path).map_err(|cause| {
            Error::new(ErrorKind::InvalidConfig, format!("cannot read {name}")).with_source(cause)
        })?;
        Self::read(&text, name)
    }

    fn read(text: &str, name: impl Display) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|error| invalid(format!("{name}: {}", place(error, text))))?;
        config.check().map_err(|error| error.context(format!("{name} cannot be used")))?;
        Ok(config)
    }
}

/// What is wrong, and where. The parser's own text would show the line, and with it a password.
fn place(mut error: toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    error.set_input(None);
    let what = error.to_string().lines().collect::<Vec<_>>().join(" ");
    match before {
        Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
        None => what,
    }
}
