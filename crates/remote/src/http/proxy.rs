//! Chooses the proxy for a host, by the environment's variables or the host's own file.
//!
//! The rules are those of Go's `httpproxy`, as in Docker and containerd, with `ALL_PROXY` as in curl.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use ipnet::IpNet;
use reqwest::Url;

use super::loopback::is_loopback;

const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];
const SOCKS_PORT: u16 = 1080; // RFC 1928

/// A proxy's address. `Display` and `Debug` leave out its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy(Url);

impl Proxy {
    /// Parses an address such as `http://user:password@proxy.lan:3128`; without a scheme, it is an http one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // The proxy resolves the names of hosts, as in Go: in many networks, only the proxy can.
        let text = text.strip_prefix("socks5://").map_or(text.clone(), |rest| format!("socks5h://{rest}"));
        let mut url: Url = text.parse().ok()?;
        let is_socks = url.scheme().starts_with("socks");
        if is_socks && url.port().is_none() {
            url.set_port(Some(SOCKS_PORT)).ok()?;
        }
        let is_one = SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty());
        is_one.then_some(Self(url))
    }
}

/// Its host and port, without its credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or_default())?;
        self.0.port_or_known_default().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The proxies for all hosts, shared by clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Vec<Exemption>,
}

/// A part of `NO_PROXY`: the hosts that it covers, and on which port.
#[derive(Debug, PartialEq, Eq)]
struct Exemption {
    covers: Covers,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Covers {
    All,
    /// A network, or a single address.
    Network(IpNet),
    /// A domain, and all below it.
    Domain(String),
    /// All below a domain, as `.example.com`.
    Below(String),
}

impl Proxies {
    /// The environment's proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or these in lower case.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) and names the variable: a mistake in it must not lead
    /// around the proxy.
    pub(crate) fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// This proxy for all hosts but this machine.
    pub(crate) fn only(proxy: &Proxy) -> Self {
        Self(Arc::new(Rules { http: Some(proxy.clone()), https: Some(proxy.clone()), exempt: Vec::new() }))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let value = |name: &str| {
            let found = [name.to_owned(), name.to_ascii_lowercase()].map(|name| variable(&name));
            found.into_iter().flatten().find(|value| !value.trim().is_empty())
        };
        let proxy = |name: &str| match value(name) {
            None => Ok(None),
            // It is not repeated: it may have a password in it.
            Some(text) => Proxy::parse(&text).map(Some).ok_or_else(|| {
                Error::new(ErrorKind::InvalidConfig, format!("{name} is no proxy's address"))
                    .with_help("write it as http://proxy.lan:3128, https://... or socks5://...")
            }),
        };
        let all = proxy("ALL_PROXY")?;
        let exempt = value("NO_PROXY").map_or_else(Vec::new, |text| exemptions(&text));
        let (http, https) = (proxy("HTTP_PROXY")?.or(all.clone()), proxy("HTTPS_PROXY")?.or(all));
        Ok(Self(Arc::new(Rules { http, https, exempt })))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.http.is_none() && self.0.https.is_none()
    }

    /// Their addresses without credentials, for http and for https.
    pub(crate) fn describe(&self) -> [Option<String>; 2] {
        [&self.0.http, &self.0.https].map(|proxy| proxy.as_ref().map(ToString::to_string))
    }

    /// The proxy for this address. Addresses on this machine have none.
    pub(crate) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { &self.0.https } else { &self.0.http };
        let host = url.host_str()?;
        let port = url.port_or_known_default()?;
        let is_direct = is_loopback(host) || self.0.exempt.iter().any(|exempt| exempt.covers(host, port));
        proxy.as_ref().filter(|_| !is_direct)
    }

    /// The same rules for reqwest.
    pub(crate) fn to_reqwest(&self) -> reqwest::Proxy {
        let proxies = self.clone();
        reqwest::Proxy::custom(move |url| proxies.of(url).map(|proxy| proxy.0.clone()))
    }
}

/// The parts of `NO_PROXY`. Invalid ones cover nothing.
fn exemptions(text: &str) -> Vec<Exemption> {
    let parts = text.split([',', ' ', '\t']).map(str::trim).filter(|part| !part.is_empty());
    parts.filter_map(Exemption::parse).collect()
}

impl Exemption {
    fn parse(text: &str) -> Option<Self> {
        let any_port = |covers| Some(Self { covers, port: None });
        if text == "*" {
            return any_port(Covers::All);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let network = IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()?;
            return any_port(Covers::Network(network));
        }
        if let Ok(address) = bare(text).parse::<IpAddr>() {
            return any_port(Covers::Network(address.into()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        if let Ok(address) = bare(host).parse::<IpAddr>() {
            return Some(Self { covers: Covers::Network(address.into()), port });
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).map(str::to_owned);
        let covers = below.map_or(Covers::Domain(host), Covers::Below);
        Some(Self { covers, port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = bare(host).trim_end_matches('.');
        let address: Option<IpAddr> = host.parse().ok();
        match (&self.covers, address) {
            (Covers::All, _) => true,
            (Covers::Network(network), Some(address)) => network.contains(&address.to_canonical()),
            (Covers::Domain(domain), None) => host.eq_ignore_ascii_case(domain) || is_below(host, domain),
            (Covers::Below(domain), None) => is_below(host, domain),
            _ => false,
        }
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_below(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::cases;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies> {
        Proxies::from_variables(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn is_proxied(exempt: &str, url: &str) -> bool {
        let proxies = proxies(&[("ALL_PROXY", "http://proxy.lan:3128"), ("NO_PROXY", exempt)]).unwrap();
        proxies.of(&url.parse().unwrap()).is_some()
    }

    /// The rules of Go's golang.org/x/net/http/httpproxy.
    #[test]
    fn what_no_proxy_names_is_reached_directly() {
        for (exempt, url) in [
            ("*", "https://ghcr.io/"),
            ("ghcr.io", "https://ghcr.io/"),
            ("GHCR.io", "https://ghcr.IO/"),
            ("example.com", "https://registry.example.com/"),
            (".example.com", "https://registry.example.com/"),
            ("*.example.com", "https://registry.example.com/"),
            ("a.lan, ghcr.io ,b.lan", "https://ghcr.io/"),
            ("a.lan ghcr.io", "https://ghcr.io/"),
            ("registry.lan:5000", "https://registry.lan:5000/"),
            ("registry.lan:443", "https://registry.lan/"),
            ("10.0.0.5", "http://10.0.0.5:5000/"),
            ("10.0.0.5:5000", "http://10.0.0.5:5000/"),
            ("10.0.0.0/8", "http://10.200.3.4/"),
            ("0.0.0.0/0", "http://10.200.3.4/"),
            ("2001:db8::1", "https://[2001:db8::1]:5000/"),
            ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000/"),
            ("2001:db8::/32", "https://[2001:db8:1::1]/"),
            ("", "http://localhost:5000/"),
            ("", "http://127.0.0.1:5000/"),
            ("", "http://[::1]:5000/"),
        ] {
            assert!(!is_proxied(exempt, url), "{exempt} {url}");
        }
        for (exempt, url) in [
            ("", "https://ghcr.io/"),
            (",,", "https://ghcr.io/"),
            ("hcr.io", "https://ghcr.io/"),
            (".example.com", "https://example.com/"),
            ("*.example.com", "https://example.com/"),
            ("registry.lan:5000", "https://registry.lan/"),
            ("10.0.0.0/8", "http://11.0.0.1/"),
            ("10.0.0.0/33", "http://10.0.0.1/"),
            ("10.0.0.0/8", "https://10.example.com/"),
            ("2001:db8::/32", "https://[2001:db9::1]/"),
            ("0.0.0.0/0", "https://[2001:db9::1]/"),
            ("registry.lan:x", "https://registry.lan/"),
        ] {
            assert!(is_proxied(exempt, url), "{exempt} {url}");
        }
    }

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_is_as_good() {
        let of = |variables: &[(&str, &str)], url: &str| {
            proxies(variables).unwrap().of(&url.parse().unwrap()).map(ToString::to_string)
        };
        let both = [("http_proxy", "a.lan:1"), ("HTTPS_PROXY", ""), ("https_proxy", "https://b.lan")];
        assert_eq!(of(&both, "http://x.lan/"), Some("a.lan:1".into()));
        assert_eq!(of(&both, "https://x.lan/"), Some("b.lan:443".into()));
        let all = [("all_proxy", "socks5://c.lan"), ("HTTPS_PROXY", "http://me:canary@[2001:db8::1]:3128")];
        assert_eq!(of(&all, "http://x.lan/"), Some("c.lan:1080".into()));
        assert_eq!(of(&all, "https://x.lan/"), Some("[2001:db8::1]:3128".into()));
        assert!(proxies(&[]).unwrap().is_empty());
        assert!(!format!("{:?}", proxies(&all)).contains("canary"));
    }

    #[test]
    fn a_proxy_that_cannot_be_read_is_an_error_and_not_repeated() {
        for text in ["ftp://canary.lan", "http://", "http://proxy.lan:canary", "://", "http://[canary"] {
            let error = proxies(&[("HTTPS_PROXY", text)]).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert!(!format!("{} {error:?}", error.report()).contains("canary"));
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn fuzz_any_no_proxy_is_read(
            exempt in "([a-z0-9.:*/,\\[\\] -]|\\PC){0,60}", host in "[a-z0-9.-]{1,20}", port in 1_u16..,
        ) {
            for exemption in exemptions(&exempt) {
                exemption.covers(&host, port);
                exemption.covers("10.1.2.3", port);
                exemption.covers("[2001:db8::1]", port);
            }
        }

        #[test]
        fn fuzz_a_host_that_is_named_is_covered(
            host in "[a-z]{1,8}(\\.[a-z]{2,8}){0,3}", port in 1_u16.., other in 1_u16..,
        ) {
            prop_assert!(exemptions(&host).iter().all(|exempt| exempt.covers(&host, port)));
            let below = format!("x.{host}");
            prop_assert!(exemptions(&host).iter().all(|exempt| exempt.covers(&below, port)));
            let with_port = exemptions(&format!("{host}:{port}"));
            prop_assert!(with_port.iter().all(|exempt| exempt.covers(&host, other) == (port == other)));
        }

        #[test]
        fn fuzz_any_proxy_is_read_or_refused(text in "(http|socks5|)(://)?\\PC{0,40}") {
            if let Some(proxy) = Proxy::parse(&text) {
                prop_assert!(SCHEMES.contains(&proxy.0.scheme()));
                prop_assert!(!proxy.to_string().contains('@'));
            }
        }
    }
}
