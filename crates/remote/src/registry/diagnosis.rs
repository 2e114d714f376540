//! Examines the way to registries, one step after another, so that the step that fails is known.

use std::env;
use std::net::SocketAddr;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};
use hoist_store::Check;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::net::{TcpStream, lookup_host};

use super::RemoteRegistry;
use super::login::name;
use crate::auth::challenge;
use crate::credentials::CredentialKey;
use crate::hosts::{Capability, Endpoint, Route};
use crate::http::{Proxies, Transport, response};
use crate::tls;

impl RemoteRegistry {
    /// Examines what this machine says about all registries: proxies, the system's certificates, and the directories
    /// that describe hosts. No registry is asked.
    pub fn examine(&self) -> Vec<Check> {
        let mut checks = vec![Check::new("proxies", proxies()), Check::new("certificates", roots())];
        checks.extend(self.hosts.directories().iter().map(|path| Check::new("hosts", self.directory(path))));
        checks
    }

    /// Every host in such a directory is read, as for a pull.
    fn directory(&self, path: &Path) -> Result<String> {
        let entries = match path.read_dir() {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(format!("{} does not exist", path.display()));
            }
            Err(cause) => return Err(Error::io(format!("cannot read {}", path.display()), cause)),
        };
        let names = entries.flatten().filter(|entry| entry.path().is_dir());
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>();
        names.sort();
        // containerd has `registry.lan_5000_` as well, and `_default` for all.
        for known in names.iter().map(|name| name.replacen('_', ":", 1)).filter(|name| !name.starts_with(':'))
        {
            self.hosts.origin(known.trim_end_matches('_'), "").and_then(|route| certificates(&route))?;
        }
        let of = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
        Ok(format!("{} describes {of}", path.display()))
    }

    /// Takes each step of the way to this registry (`ghcr.io`, `registry.lan:5000`): its name, the connection, TLS,
    /// `/v2/`, its challenge, and a token or the credentials. The first step that fails is the last one. No secret is
    /// in what is found.
    pub async fn diagnose(&self, registry: &str) -> Vec<Check> {
        let mut checks = Vec::new();
        // A step that fails has put its error there.
        _ = self.steps(registry, &mut checks).await;
        checks
    }

    async fn steps(&self, registry: &str, checks: &mut Vec<Check>) -> Option<()> {
        let place = name(registry).and_then(|name| self.hosts.origin(&name, ""));
        let route =
            step(checks, "registry", place, |route| format!("at {}", origin(&route.origin().host.url)))?;
        let endpoint = route.origin();
        let transport = step(checks, "settings", self.client.transport(endpoint), |_| "read".into())?;
        let url = endpoint.ping();
        if let Some(proxy) = transport.proxy_to(&url) {
            checks.push(Check::new("connection", Ok(format!("through the proxy {proxy}"))));
        } else {
            let addresses = step(checks, "name", resolve(&url).await, |found| addresses_of(found))?;
            let connected = connect(&transport, &url, &addresses).await;
            step(checks, "connection", connected, |address| format!("to {address}"))?;
        }
        let answer = ask(&transport, endpoint, &url).await;
        let is_http = url.scheme() == "http";
        let subject =
            if answer.as_ref().is_err_and(|error| *error.kind() != ErrorKind::Tls) { "/v2/" } else { "TLS" };
        let tls = |_: &Response| if is_http { "not used: http" } else { "trusted" }.to_owned();
        let answer = step(checks, subject, answer, tls)?;
        let status = answer.status();
        step(checks, "/v2/", api(&answer, &endpoint.registry), |()| format!("answers {status}"))?;
        step(checks, "challenge", challenge(&answer), Clone::clone)?;
        self.credentials(&route, checks).await
    }

    async fn credentials(&self, route: &Route, checks: &mut Vec<Check>) -> Option<()> {
        let key = CredentialKey::of_host(&route.origin().registry);
        let found = self.client.auth.source(&key).await;
        let found = found.map_or_else(|| "none: anonymous".to_owned(), |place| format!("in {place}"));
        checks.push(Check::new("credentials", Ok(found)));
        let request = (Method::GET, &HeaderMap::new());
        let answer = self.client.ask(route, Capability::Pull, request, Endpoint::ping, |_, _| Ok(())).await;
        step(checks, "token", answer, |()| "accepted".into())
    }
}

/// Notes the outcome of a step. `None`: it failed.
fn step<T>(
    checks: &mut Vec<Check>,
    subject: &'static str,
    outcome: Result<T>,
    say: impl FnOnce(&T) -> String,
) -> Option<T> {
    checks.push(Check::new(subject, outcome.as_ref().map(say).map_err(Clone::clone)));
    outcome.ok()
}

/// Reads the certificates that a host's description names.
fn certificates(route: &Route) -> Result<()> {
    let mut hosts = route.endpoints().iter().map(|endpoint| &endpoint.host);
    hosts.try_for_each(|host| tls::config_for(&host.name, &host.config.tls).map(drop))
}

fn proxies() -> Result<String> {
    let described = Proxies::from_env()?.describe();
    let named = ["http", "https"].into_iter().zip(described);
    let named = named.filter_map(|(scheme, proxy)| Some(format!("{scheme} through {}", proxy?)));
    let named = named.collect::<Vec<_>>().join(", ");
    Ok(if named.is_empty() { "none".into() } else { named })
}

fn roots() -> Result<String> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", env::var_os(name)?.display())));
    let named = named.collect::<Vec<_>>().join(", ");
    let from = if named.is_empty() { "the system's".to_owned() } else { named };
    match tls::count_roots() {
        0 => Err(Error::new(ErrorKind::Tls, format!("no certificates to trust ({from})"))
            .with_help("install ca-certificates, or set SSL_CERT_FILE")),
        count => Ok(format!("{count} to trust: {from}")),
    }
}

/// The address without path and query.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn resolve(url: &Url) -> Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    let found = lookup_host((bare, port)).await.map(Vec::from_iter);
    found.map_err(|cause| {
        Error::new(ErrorKind::Unavailable, format!("the name {host} has no address"))
            .with_source(cause)
            .with_help("check the name, and this machine's name servers")
    })
}

fn addresses_of(found: &[SocketAddr]) -> String {
    found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}

async fn connect(transport: &Transport, url: &Url, addresses: &[SocketAddr]) -> Result<SocketAddr> {
    let mut why = "no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(transport.limits.connect, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(*address),
            Ok(Err(cause)) => why = format!("{address}: {cause}"),
            Err(_) => why = format!("{address}: no answer within {:?}", transport.limits.connect),
        }
    }
    Err(Error::new(ErrorKind::Unavailable, format!("{} cannot be connected to: {why}", origin(url)))
        .with_help("check that the registry runs, its port, and the firewalls on the way"))
}

/// Asks for the API without credentials.
async fn ask(transport: &Transport, endpoint: &Endpoint, url: &Url) -> Result<Response> {
    let request = transport.client.get(url.clone()).headers(endpoint.host.config.headers.clone());
    request.send().await.map_err(|cause| response::failed(&format!("asking {}", endpoint.registry), cause))
}

fn api(answer: &Response, registry: &str) -> Result<()> {
    match answer.status() {
        StatusCode::OK | StatusCode::UNAUTHORIZED => Ok(()),
        status => Err(Error::new(ErrorKind::Unsupported, format!("{registry} answered {status} to `/v2/`"))
            .with_help("check that this is the address of a registry")),
    }
}

fn challenge(answer: &Response) -> Result<String> {
    if answer.status() == StatusCode::OK {
        return Ok("none: nobody needs credentials for the API".into());
    }
    let values = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let found = values.flat_map(challenge::parse).map(|challenge| {
        let realm = challenge.parameters.get("realm").and_then(|realm| Url::parse(realm).ok());
        let realm = realm.filter(|_| challenge.scheme == "bearer");
        realm.map_or(challenge.scheme.clone(), |realm| {
            format!("{}, with tokens from {}", challenge.scheme, origin(&realm))
        })
    });
    let found = found.collect::<Vec<_>>().join("; ");
    if found.is_empty() {
        let message = "the registry answered 401 without saying how to log in (`WWW-Authenticate`)";
        return Err(Error::new(ErrorKind::Malformed, message)
            .with_help("look for a proxy on the way that drops this header"));
    }
    Ok(found)
}
