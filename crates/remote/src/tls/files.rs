//! Certificates and keys, from files in PEM.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, server::ParsedCertificate};

/// Where the certificates for a host are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsFiles {
    /// Authorities, which are trusted beside the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Our own certificates, each with its key, which may be in the same file.
    pub(crate) clients: Vec<(PathBuf, Option<PathBuf>)>,
    /// Does not verify the host's certificate.
    pub(crate) skip_verify: bool,
}

impl TlsFiles {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let keys = self.clients.iter().flat_map(|(cert, key)| std::iter::once(cert).chain(key));
        self.authorities.iter().chain(keys)
    }
}

/// The authorities' certificates from all these files. A file without a certificate is an error.
pub(super) fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let all = paths.iter().map(|path| certificates(path, &read(path)?));
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

/// Our own certificates, with their keys. `None`: there are none.
pub(super) fn clients(
    pairs: &[(PathBuf, Option<PathBuf>)],
    provider: &CryptoProvider,
) -> Result<Option<Arc<dyn ResolvesClientCert>>> {
    let keys = pairs.iter().map(|(cert, key)| client(cert, key.as_deref(), provider));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    Ok(if keys.is_empty() { None } else { Some(Arc::new(Clients(keys))) })
}

fn client(cert: &Path, key: Option<&Path>, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let chain = certificates(cert, &read(cert)?)?;
    let path = key.unwrap_or(cert);
    // The cause is left out: it could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| wrong(path, "has no private key"))?;
    let key = CertifiedKey::from_der(chain, key, provider)
        .map_err(|cause| wrong(path, "has no key for the certificate").with_source(cause))?;
    Ok(Arc::new(key))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| wrong(path, "is not in PEM"))?;
    if certificates.is_empty() {
        return Err(wrong(path, "has no certificate"));
    }
    for certificate in &certificates {
        ParsedCertificate::try_from(certificate)
            .map_err(|cause| wrong(path, "has a certificate that cannot be read").with_source(cause))?;
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|cause| wrong(path, "cannot be read").with_source(cause))
}

fn wrong(path: &Path, what: impl Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{} {what}", path.display()))
        .with_help("correct the file, or its name in hosts.toml")
}

/// Shows the first certificate whose key suits the server's signature schemes. The authorities that a server hints at
/// are ignored: hints are often wrong, and a server that wanted another certificate says so.
#[derive(Debug)]
struct Clients(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Clients {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
