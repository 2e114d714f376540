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

/// The certificates of authorities, of all files together. A file without any is an error.
pub(crate) fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let all = paths.iter().map(|path| certificates(path, &read(path)?));
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

/// Our own certificates, with their keys. `None`: there are none.
pub(crate) fn clients(
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
    // The causes are left out where they could tell of the key.
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
        .with_help("correct the file, or what names it in hosts.toml")
}

/// The first certificate whose key fits what the server can check. Which authorities it hints at does not
/// matter: hints are often wrong, and it says itself if it wanted another.
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
