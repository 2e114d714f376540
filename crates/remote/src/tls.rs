//! TLS as it should be: rustls, the system's roots and those that a host's file adds, and no way around them
//! but for a host whose file says so.

use std::sync::{Arc, Mutex, PoisonError};

use hoist_core::{Error, ErrorKind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::hosts::TlsFiles;
use crate::tls_files;

/// A configuration that trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` included).
pub(crate) fn config() -> Result<ClientConfig> {
    config_for("", &TlsFiles::default())
}

/// A configuration for one host, that trusts its authorities as well, and has certificates to show.
pub(crate) fn config_for(host: &str, files: &TlsFiles) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier {
        provider: provider.clone(),
        authorities: tls_files::authorities(&files.authorities)?,
        unverified: files.skip_verify.then(|| host.to_owned()),
        usual: Mutex::default(),
    };
    if files.skip_verify {
        tracing::warn!(host, "its certificate is not verified, as its file says: anybody may pose as it");
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(cause))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match tls_files::clients(&files.clients, &provider)? {
        Some(clients) => builder.with_client_cert_resolver(clients),
        None => builder.with_no_client_auth(),
    })
}

/// rustls' own verifier. The system's roots are read when the first certificate comes, and again after one that was not
/// trusted: that takes milliseconds, which a pull over plain http from this machine should not pay for.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Who is trusted beside the system's.
    authorities: Vec<CertificateDer<'static>>,
    /// The one host that is taken for who it says it is; not those that it leads to (CVE-2019-10214).
    unverified: Option<String>,
    usual: Mutex<Option<Arc<WebPkiServerVerifier>>>,
}

impl Verifier {
    /// The inner verifier. Roots that could not be read are read again the next time: they may be there by then.
    fn verifier(&self) -> std::result::Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifier) = &*usual {
            return Ok(verifier.clone());
        }
        Ok(usual.insert(self.read_roots()?).clone())
    }

    /// Has the roots read again, by which somebody was not trusted: an authority may have been added since.
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

/// Everything but one host's identity is the inner verifier's to decide.
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
