//! A private authority: certificates for servers and clients, made for one test.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority of its own, that nobody trusts who is not told to.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Certified {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names are valid names");
        // Or its certificates would look to OpenSSL as if they had signed themselves.
        params.distinguished_name.push(DnType::CommonName, "a private authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("an authority can sign itself");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name or address.
    #[must_use]
    pub fn certify(&self, name: &str) -> Certified {
        self.sign(&params_for(name))
    }

    /// One that expired in the last century.
    #[must_use]
    pub fn certify_expired(&self, name: &str) -> Certified {
        let mut params = params_for(name);
        (params.not_before, params.not_after) = (date_time_ymd(1998, 1, 1), date_time_ymd(1999, 1, 1));
        self.sign(&params)
    }

    /// One that is not valid before the next century.
    #[must_use]
    pub fn certify_early(&self, name: &str) -> Certified {
        let mut params = params_for(name);
        (params.not_before, params.not_after) = (date_time_ymd(2101, 1, 1), date_time_ymd(2102, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Certified {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority can sign");
        Certified { certificate, key }
    }

    /// Its own certificate.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Writes its certificate, in PEM. Returns the path.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> PathBuf {
        write(path.as_ref(), &self.certificate.pem())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Certified {
    /// A certificate for this name or address that no authority has signed, but itself.
    ///
    /// # Panics
    ///
    /// If no key can be made.
    #[must_use]
    pub fn by_itself(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params_for(name).self_signed(&key).expect("a certificate can sign itself");
        Self { certificate, key }
    }

    /// As [`by_itself`](Self::by_itself), with `CA:TRUE`, from 1998 until the beginning of this year.
    ///
    /// # Panics
    ///
    /// If no key can be made.
    #[must_use]
    pub fn authority_until(name: &str, year: i32) -> Self {
        let mut params = params_for(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(1998, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a certificate can sign itself");
        Self { certificate, key }
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The key.
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// Writes the certificate, in PEM. Returns the path.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> PathBuf {
        write(path.as_ref(), &self.certificate.pem())
    }

    /// Writes the key, in PEM. Returns the path.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write_key(&self, path: impl AsRef<Path>) -> PathBuf {
        write(path.as_ref(), &self.key.serialize_pem())
    }

    /// Writes both into one file, in PEM. Returns the path.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn write_both(&self, path: impl AsRef<Path>) -> PathBuf {
        write(path.as_ref(), &(self.certificate.pem() + &self.key.serialize_pem()))
    }
}

fn params_for(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).expect("a name for a certificate")
}

fn write(path: &Path, pem: &str) -> PathBuf {
    std::fs::write(path, pem).expect("a certificate's file can be written");
    path.to_owned()
}
