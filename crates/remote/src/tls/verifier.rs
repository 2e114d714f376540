//! Decides whether a server is trusted: by its authority, or because its own certificate is among the trusted ones.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::errors::NO_ROOTS;
use super::itself;

/// rustls' own verifier. It reads the system's roots when the first certificate comes, and again after one that was
/// not trusted. Reading them takes milliseconds, which a pull over plain http from this machine should not pay for.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// The authorities of the host's file, trusted beside the system's.
    authorities: Vec<CertificateDer<'static>>,
    /// The one host whose certificate is not verified; those that it redirects to are (CVE-2019-10214).
    unverified: Option<String>,
    trust: Mutex<Option<Arc<Trust>>>,
}

/// The certificates that are trusted, as authorities and by themselves.
#[derive(Debug)]
struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        authorities: Vec<CertificateDer<'static>>,
        unverified: Option<String>,
    ) -> Self {
        Self { provider, authorities, unverified, trust: Mutex::default() }
    }

    /// What is trusted. It reads the roots again if that failed the last time: they may be there by now.
    fn trust(&self) -> Result<Arc<Trust>, Error> {
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = &*trust {
            return Ok(trust.clone());
        }
        Ok(trust.insert(Arc::new(self.read_roots()?)).clone())
    }

    /// Makes the next certificate read the roots again, after these did not trust one: an authority may have been
    /// added since.
    fn forget(&self, trust: &Arc<Trust>) {
        let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        known.take_if(|known| Arc::ptr_eq(known, trust));
    }

    fn read_roots(&self) -> Result<Trust, Error> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a system certificate cannot be read");
        }
        let certificates =
            found.certs.into_iter().chain(self.authorities.iter().cloned()).collect::<Vec<_>>();
        let (added, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
        tracing::debug!(added, ignored, "read the system's certificates");
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        // It fails only when there are no roots at all.
        let verifier = verifier.build().map_err(|_| Error::General(NO_ROOTS.into()))?;
        Ok(Trust { verifier, certificates })
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
    ) -> Result<ServerCertVerified, Error> {
        if self.takes_at_its_word(server_name) {
            return Ok(ServerCertVerified::assertion());
        }
        let trust = self.trust()?;
        let trusted =
            trust.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let trusted = trusted.or_else(|error| {
            let decides = itself::may_decide(&error) && trust.certificates.contains(end_entity);
            if decides { itself::verify(end_entity, server_name, now) } else { Err(error) }
        });
        trusted.inspect_err(|_| self.forget(&trust))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
