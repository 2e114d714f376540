//! The names of this machine.

use std::net::IpAddr;

use reqwest::Url;

/// Whether a host is this machine by its name alone, with or without a port. Such hosts are reached without TLS and
/// without a proxy.
pub(crate) fn is_loopback(host_and_port: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host_and_port}/")) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|ip| ip.is_loopback())
}
