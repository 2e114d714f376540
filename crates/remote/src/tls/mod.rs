//! TLS for all connections: rustls with the system's roots, and with the certificates that a host's file names.
//!
//! Every certificate is verified, except those of a host whose file says `skip_verify`.
//!
//! - `files` reads certificates and keys from files in PEM.
//! - `verifier` decides whether a server is trusted, and `itself` decides on a certificate that is trusted by itself.
//! - `errors` says in words why TLS failed.

pub(crate) mod errors;
mod files;
mod itself;
mod verifier;

use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use rustls::ClientConfig;

pub(crate) use files::TlsFiles;
use verifier::Verifier;

/// A configuration that trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` included).
pub(crate) fn config() -> Result<ClientConfig> {
    config_for("", &TlsFiles::default())
}

/// How many certificates the system has to trust.
pub(crate) fn count_roots() -> usize {
    rustls_native_certs::load_native_certs().certs.len()
}

/// A configuration for one host, which also trusts the host's authorities and shows it our certificates.
pub(crate) fn config_for(host: &str, of_host: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unverified = of_host.skip_verify.then(|| host.to_owned());
    let verifier = Verifier::new(provider.clone(), files::authorities(&of_host.authorities)?, unverified);
    if of_host.skip_verify {
        tracing::warn!(
            host,
            "its certificate is not verified, since its file says skip_verify: anybody may pose as it"
        );
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match files::clients(&of_host.clients, &provider)? {
        Some(clients) => builder.with_client_cert_resolver(clients),
        None => builder.with_no_client_auth(),
    })
}
