//! containerd's `hosts.toml`, read as containerd reads it
//! ([docs/hosts.md](https://github.com/containerd/containerd/blob/main/docs/hosts.md)).

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hoist_core::{Error, ErrorKind, Result};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::host_config::{Capabilities, HostConfig};
use crate::http::Proxy;

/// Reads a file that is at `path`: its hosts in their order, and last the registry's server.
///
/// Unknown keys are ignored, as by containerd. Fails with
/// [`InvalidConfig`](ErrorKind::InvalidConfig), and names the file and the line.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<HostConfig>> {
    let file = File { text, path };
    let root = DeTable::parse(text).map_err(|error| file.unreadable(error))?;
    let mut configs = Vec::new();
    if let Some(hosts) = member(root.get_ref(), "host") {
        for (name, host) in file.table(hosts)? {
            let mut config = file.entry(file.table(host)?)?;
            config.url = Some(file.address(name.get_ref(), &name.span(), file.overrides_path(host)?)?);
            configs.push(config);
        }
    }
    let mut server = file.entry(root.get_ref())?;
    if let Some(value) = member(root.get_ref(), "server") {
        let address = file.string(value)?;
        if !address.is_empty() {
            let overrides_path = file.flag(root.get_ref(), "override_path")?;
            server.url = Some(file.address(address, &value.span(), overrides_path)?);
        }
    }
    configs.push(server);
    Ok(configs)
}

/// An address in a file or a configuration: `https` unless it has a scheme, and below `/v2` unless the file overrides
/// the path. `None`: the text is not an address.
pub(super) fn address(text: &str, overrides_path: bool) -> Option<Url> {
    let has_scheme = text.starts_with("http://") || text.starts_with("https://");
    if !has_scheme && text.contains("://") {
        return None;
    }
    let text = if has_scheme { text.to_owned() } else { format!("https://{text}") };
    let mut url: Url = text.parse().ok()?;
    if url.cannot_be_a_base() || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let path = url.path().trim_end_matches('/');
    let path = if overrides_path || path.ends_with("/v2") { path.to_owned() } else { format!("{path}/v2") };
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// A key's value. containerd's parser finds keys in any case.
fn member<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    let alike = || table.iter().find(|(name, _)| name.get_ref().eq_ignore_ascii_case(key));
    table.get(key).or_else(|| alike().map(|(_, value)| value))
}

/// A file, for errors that name the place.
struct File<'a> {
    text: &'a str,
    path: &'a Path,
}

impl File<'_> {
    /// A table's settings for a host, without its address.
    fn entry(&self, table: &DeTable<'_>) -> Result<HostConfig> {
        let mut config = HostConfig::default();
        for (key, value) in table {
            match &*key.get_ref().to_ascii_lowercase() {
                "capabilities" => config.capabilities = self.capabilities(value)?,
                "ca" => config.tls.authorities = self.authorities(value)?,
                "client" => config.tls.clients = self.clients(value)?,
                "skip_verify" => config.tls.skip_verify = self.boolean(value)?,
                "header" => config.headers = self.headers(value)?,
                "dial_timeout" => config.connect_timeout = self.timeout(value)?,
                "proxy" => config.proxy = Some(self.proxy(value)?),
                "server" | "host" | "override_path" => {}
                unknown => {
                    tracing::debug!(file = %self.path.display(), key = unknown, "ignoring an unknown key");
                }
            }
        }
        Ok(config)
    }

    fn capabilities(&self, value: &Spanned<DeValue<'_>>) -> Result<Capabilities> {
        let items = self.array(value)?;
        if items.is_empty() {
            return Ok(Capabilities::default());
        }
        let mut capabilities = Capabilities { resolve: false, pull: false };
        for item in items {
            match self.string(item)?.to_ascii_lowercase().as_str() {
                "pull" => capabilities.pull = true,
                "resolve" => capabilities.resolve = true,
                "push" | "referrers" => {} // hoist never asks for these
                other => return Err(self.wrong(&item.span(), format!("there is no capability {other:?}"))),
            }
        }
        Ok(capabilities)
    }

    fn authorities(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<PathBuf>> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.file(item)).collect(),
            _ => Ok(vec![self.file(value)?]),
        }
    }

    /// A file with a certificate and its key, several of them, or pairs of files.
    fn clients(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<(PathBuf, Option<PathBuf>)>> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.client(item)).collect(),
            _ => Ok(vec![(self.file(value)?, None)]),
        }
    }

    fn client(&self, value: &Spanned<DeValue<'_>>) -> Result<(PathBuf, Option<PathBuf>)> {
        match value.get_ref() {
            DeValue::Array(pair) => match &pair[..] {
                [cert, key] => {
                    let has_key = !self.string(key)?.is_empty();
                    Ok((self.file(cert)?, has_key.then(|| self.file(key)).transpose()?))
                }
                _ => Err(self.wrong(&value.span(), "a client is a certificate and its key")),
            },
            _ => Ok((self.file(value)?, None)),
        }
    }

    fn headers(&self, value: &Spanned<DeValue<'_>>) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.table(value)? {
            let values = match value.get_ref() {
                DeValue::Array(items) => items.iter().map(|item| self.string(item)).collect::<Result<_>>()?,
                _ => vec![self.string(value)?],
            };
            let place = name.span();
            let name = HeaderName::from_bytes(name.get_ref().as_bytes())
                .map_err(|_| self.wrong(&place, "this is no header's name"))?;
            for value in values {
                // The value is not repeated: it may be a secret.
                let mut value = HeaderValue::from_str(value)
                    .map_err(|_| self.wrong(&place, "its value cannot stand in a header"))?;
                value.set_sensitive(true);
                headers.append(name.clone(), value);
            }
        }
        Ok(headers)
    }

    /// A limit; an empty text is none of this host's own, and zero no limit at all, as for Go's dialer.
    fn timeout(&self, value: &Spanned<DeValue<'_>>) -> Result<Option<Duration>> {
        let text = self.string(value)?;
        if text.is_empty() {
            return Ok(None);
        }
        match duration::parse(text) {
            Some(Duration::ZERO) => Ok(Some(Duration::MAX)),
            Some(limit) => Ok(Some(limit)),
            None => Err(self.wrong(&value.span(), "this is no time; write it as 500ms or 3s")),
        }
    }

    fn proxy(&self, value: &Spanned<DeValue<'_>>) -> Result<Proxy> {
        Proxy::parse(self.string(value)?).ok_or_else(|| {
            self.wrong(&value.span(), "this is no proxy; write it as http://proxy.lan:3128 or socks5://...")
        })
    }

    fn address(&self, text: &str, place: &Range<usize>, overrides_path: bool) -> Result<Url> {
        address(text, overrides_path)
            .ok_or_else(|| self.wrong(place, "this is no host's address; write it as https://mirror.lan"))
    }

    fn overrides_path(&self, value: &Spanned<DeValue<'_>>) -> Result<bool> {
        self.flag(self.table(value)?, "override_path")
    }

    fn flag(&self, table: &DeTable<'_>, key: &str) -> Result<bool> {
        member(table, key).map_or(Ok(false), |value| self.boolean(value))
    }

    /// A path, relative to the file's directory.
    fn file(&self, value: &Spanned<DeValue<'_>>) -> Result<PathBuf> {
        let path = Path::new(self.string(value)?);
        Ok(self.path.parent().map_or_else(|| path.to_owned(), |directory| directory.join(path)))
    }

    fn table<'v, 'i>(&self, value: &'v Spanned<DeValue<'i>>) -> Result<&'v DeTable<'i>> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(&value.span(), "this has to be a table"))
    }

    fn array<'v, 'i>(&self, value: &'v Spanned<DeValue<'i>>) -> Result<&'v [Spanned<DeValue<'i>>]> {
        let array = value.get_ref().as_array();
        array.map(|array| &array[..]).ok_or_else(|| self.wrong(&value.span(), "this has to be a list"))
    }

    fn string<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str> {
        value.get_ref().as_str().ok_or_else(|| self.wrong(&value.span(), "this has to be a text"))
    }

    fn boolean(&self, value: &Spanned<DeValue<'_>>) -> Result<bool> {
        let flag = value.get_ref().as_bool();
        flag.ok_or_else(|| self.wrong(&value.span(), "this has to be true or false"))
    }

    /// The parser's own text would show the line, which may hold a secret.
    fn unreadable(&self, mut error: toml::de::Error) -> Error {
        let place = error.span().unwrap_or_default();
        error.set_input(None);
        self.wrong(&place, error.message().lines().collect::<Vec<_>>().join(" "))
    }

    fn wrong(&self, place: &Range<usize>, what: impl Display) -> Error {
        let before = self.text.get(..place.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let message = format!("{}: line {line}: {what}", self.path.display());
        Error::new(ErrorKind::InvalidConfig, message).with_help("correct the file, or remove it")
    }
}

#[cfg(test)]
mod tests;
