//! TLS for all connections: rustls with the system's roots, and with the certificates that a host's file names.
//!
//! Every certificate is verified, except those of a host whose file says `skip_verify`.

pub(crate) mod errors;
mod files;

use std::sync::{Arc, Mutex, PoisonError};

use hoist_core::{Error, ErrorKind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

pub(crate) use files::TlsFiles;

/// A configuration that trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` included).
pub(crate) fn config() -> Result<ClientConfig> {
    config_for("", &TlsFiles::default())
}

/// A configuration for one host, which also trusts the host's authorities and shows it our certificates.
pub(crate) fn config_for(host: &str, of_host: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier {
        provider: provider.clone(),
        authorities: files::authorities(&of_host.authorities)?,
        unverified: of_host.skip_verify.then(|| host.to_owned()),
        usual: Mutex::default(),
    };
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

/// rustls' own verifier. It reads the system's roots when the first certificate comes, and again after one that was
/// not trusted. Reading them takes milliseconds, which a pull over plain http from this machine should not pay for.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// The authorities of the host's file, trusted beside the system's.
    authorities: Vec<CertificateDer<'static>>,
    /// The one host whose certificate is not verified; those that it redirects to are (CVE-2019-10214).
    unverified: Option<String>,
    usual: Mutex<Option<Arc<WebPkiServerVerifier>>>,
}

impl Verifier {
    /// The inner verifier. It reads the roots again if that failed the last time: they may be there by now.
    fn verifier(&self) -> std::result::Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifier) = &*usual {
            return Ok(verifier.clone());
        }
        Ok(usual.insert(self.read_roots()?).clone())
    }

    /// Makes the next certificate read the roots again, after these did not trust one: an authority may have been
    /// added since.
    fn forget(&self, verifier: &Arc<WebPkiServerVerifier>) {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        usual.take_if(|known| Arc::ptr_eq(known, verifier));
    }

    fn read_roots(&self) -> std::result::Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a system certificate cannot be read");
        }
        let all = found.certs.into_iter().chain(self.authorities.iter().cloned());
        let (added, ignored) = roots.add_parsable_certificates(all);
        tracing::debug!(added, ignored, "read the system's certificates");
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        verifier.build().map_err(|_| {
            let help =
                "this system has no certificates to trust; install ca-certificates, or set SSL_CERT_FILE";
            rustls::Error::General(help.into())
        })
    }

    fn takes_at_its_word(&self, name: &ServerName<'_>) -> bool {
        let bare = |name: &str| name.trim_matches(['[', ']']).to_ascii_lowercase();
        self.unverified.as_ref().is_some_and(|host| bare(host) == bare(&name.to_str()))
    }
}

/// The inner verifier decides on everything but the identity of the one unverified host.
impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if self.takes_at_its_word(server_name) {
            return Ok(ServerCertVerified::assertion());
        }
        let verifier = self.verifier()?;
        let trusted = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        trusted.inspect_err(|_| self.forget(&verifier))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
