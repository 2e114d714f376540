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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::cases;

    fn read(text: &str) -> Vec<HostConfig> {
        parse(text, Path::new("/etc/containerd/certs.d/registry.lan/hosts.toml")).unwrap()
    }

    /// The cases are those of containerd's `TestParseHostFile` (`core/remotes/docker/config/hosts_test.go`).
    #[test]
    fn a_file_is_read_as_containerd_reads_it() {
        let configs = read(
            r#"
            server = "https://default.lan"
            ca = "/etc/path/default"
            [header]
              x-custom-1 = "custom header"
            [host."https://mirror.lan"]
              capabilities = ["pull"]
              ca = "/etc/certs/mirror.pem"
              skip_verify = false
              [host."https://mirror.lan".header]
                x-custom-2 = ["value1", "value2"]
            [host."https://bak.lan/us"]
              capabilities = ["pull"]
              skip_verify = true
            [host."http://mirror.lan"]
              capabilities = ["pull"]
            [host."https://one.lan"]
              capabilities = ["pull", "resolve", "push"]
              ca = ["one.pem", "/etc/certs/special.pem"]
              client = [["/etc/certs/client.cert", "client.key"], ["/etc/certs/client.pem", ""]]
            [host."https://two.lan"]
              client = "/etc/certs/client.pem"
            [host."https://three.lan"]
              client = ["/etc/certs/client-1.pem", "/etc/certs/client-2.pem"]
            [host."https://noncompliant.lan/v2/prefix"]
              override_path = true
            [host."https://noprefix.lan"]
              override_path = true
            [host."bare.lan:5000"]
              dial_timeout = "3s"
            "#,
        );
        let urls: Vec<_> = configs.iter().map(|config| config.url.as_ref().unwrap().as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://mirror.lan/v2",
                "https://bak.lan/us/v2",
                "http://mirror.lan/v2",
                "https://one.lan/v2",
                "https://two.lan/v2",
                "https://three.lan/v2",
                "https://noncompliant.lan/v2/prefix",
                "https://noprefix.lan/",
                "https://bare.lan:5000/v2",
                "https://default.lan/v2",
            ]
        );
        assert_eq!(configs[0].capabilities, Capabilities { resolve: false, pull: true });
        assert_eq!(configs[0].tls.authorities, [Path::new("/etc/certs/mirror.pem")]);
        assert_eq!(configs[0].headers.get_all("x-custom-2").iter().count(), 2);
        assert!(!configs[0].tls.skip_verify && configs[1].tls.skip_verify);
        assert_eq!(configs[3].capabilities, Capabilities::default());
        let here = Path::new("/etc/containerd/certs.d/registry.lan");
        assert_eq!(configs[3].tls.authorities, [here.join("one.pem"), "/etc/certs/special.pem".into()]);
        let pair = ("/etc/certs/client.cert".into(), Some(here.join("client.key")));
        assert_eq!(configs[3].tls.clients, [pair, ("/etc/certs/client.pem".into(), None)]);
        assert_eq!(configs[4].tls.clients, [("/etc/certs/client.pem".into(), None)]);
        assert_eq!(configs[5].tls.clients.len(), 2);
        assert_eq!(configs[8].connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(configs[9].tls.authorities, [Path::new("/etc/path/default")]);
        assert_eq!(configs[9].headers["x-custom-1"], "custom header");
    }

    #[test]
    fn what_a_file_leaves_out_is_the_registrys_own() {
        assert_eq!(read(""), [HostConfig::default()]);
        assert_eq!(read("# nothing\n[host]\n"), [HostConfig::default()]);
        assert_eq!(read("server = ''\ncapabilities = []\n"), [HostConfig::default()]);
    }

    #[test]
    fn a_time_of_zero_is_no_limit_and_an_empty_one_is_not_set() {
        let limit = |text: &str| {
            read(&format!("[host.'https://a.lan']\ndial_timeout = '{text}'\n"))[0].connect_timeout
        };
        for zero in ["0", "0s", "0ms", "0h0m"] {
            assert_eq!(limit(zero), Some(Duration::MAX), "{zero}");
        }
        assert_eq!(limit(""), None);
        assert_eq!(limit("1500ms"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn keys_are_found_in_any_case() {
        let configs = read(
            "Server = 'https://default.lan/x'\nOverride_Path = true\n\
             [Host.'https://mirror.lan']\nCapabilities = ['PULL']\nSKIP_VERIFY = true\nDial_Timeout = '3s'\n\
             [HOST.'https://mirror.lan'.Header]\nX-Custom = 'x'\n",
        );
        assert_eq!(configs[0].url.as_ref().unwrap().as_str(), "https://mirror.lan/v2");
        assert!(configs[0].tls.skip_verify && !configs[0].capabilities.resolve);
        assert_eq!(configs[0].connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(configs.last().unwrap().url.as_ref().unwrap().as_str(), "https://default.lan/x");
    }

    fn value() -> impl Strategy<Value = String> {
        let text = "[ -~]{0,20}".prop_map(|text| format!("{text:?}"));
        let leaf = prop_oneof![text, Just("true".into()), Just("1".into()), Just("'https://a.lan'".into())];
        leaf.prop_recursive(3, 8, 3, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..3);
            let table = inner.prop_map(|value| format!("{{ x-y = {value} }}"));
            prop_oneof![list.prop_map(|items| format!("[{}]", items.join(", "))), table]
        })
    }

    fn line() -> impl Strategy<Value = String> {
        const KEYS: [&str; 12] = [
            "server",
            "host",
            "capabilities",
            "ca",
            "client",
            "skip_verify",
            "header",
            "override_path",
            "dial_timeout",
            "proxy",
            "'https://a.lan'",
            "unknown",
        ];
        let key = || proptest::sample::select(&KEYS[..]);
        prop_oneof![
            (key(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
            "[ -~]{0,12}".prop_map(|name| format!("[host.{name:?}]")),
            key().prop_map(|key| format!("[host.'https://b.lan'.{key}]")),
            "\\PC{0,40}",
        ]
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn fuzz_a_file_of_any_text_is_read_or_refused(text in "(\\PC|\n){0,200}") {
            check(&text)?;
        }

        #[test]
        fn fuzz_a_file_of_any_keys_is_read_or_refused(lines in proptest::collection::vec(line(), 0..8)) {
            check(&lines.join("\n"))?;
        }
    }

    fn check(text: &str) -> std::result::Result<(), TestCaseError> {
        match parse(text, Path::new("/hosts.toml")) {
            Ok(configs) => {
                let urls = configs.iter().filter_map(|config| config.url.as_ref());
                prop_assert!(!configs.is_empty());
                prop_assert!(urls.clone().all(|url| url.scheme().starts_with("http") && url.has_host()));
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), &ErrorKind::InvalidConfig);
                prop_assert!(error.to_string().starts_with("/hosts.toml: line "), "{}", error);
            }
        }
        Ok(())
    }
}
