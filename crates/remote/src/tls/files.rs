//! Certificates and keys, from files in PEM.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use webpki::{anchor_from_trusted_cert, spki_for_anchor};

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
    pub(crate) fn has_client_certificate(&self) -> bool {
        !self.clients.is_empty()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let keys = self.clients.iter().flat_map(|(cert, key)| std::iter::once(cert).chain(key));
        self.authorities.iter().chain(keys)
    }
}

/// The authorities' certificates from all these files. A file without a good one is an error.
pub(super) fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let all = paths.iter().map(|path| certificates(path, |der| anchor_from_trusted_cert(der).is_ok()));
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

/// The server judges the certificate; here only its key is compared, so as to say early that a file is the wrong one.
fn client(cert: &Path, key: Option<&Path>, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let chain = certificates(cert, |_| true)?;
    let path = key.unwrap_or(cert);
    // The causes are left out: they could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| wrong(path, "has no private key"))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| wrong(path, "has a private key of a kind that is not supported"))?;
    let certified = CertifiedKey::new(chain, key);
    if belongs(&certified) {
        Ok(Arc::new(certified))
    } else {
        Err(wrong(path, "has no key for the certificate"))
    }
}

/// Whether the key is the certificate's, as far as both can be read. A certificate of version 1 can.
fn belongs(certified: &CertifiedKey) -> bool {
    let anchor = certified.cert.first().and_then(|first| anchor_from_trusted_cert(first).ok());
    match (anchor, certified.key.public_key()) {
        (Some(anchor), Some(key)) => spki_for_anchor(&anchor) == key,
        _ => true,
    }
}

/// The good certificates of a file. One that is not good is passed over with a warning, as OpenSSL and Go do, unless
/// no other is left.
fn certificates(
    path: &Path,
    is_good: impl Fn(&CertificateDer<'static>) -> bool,
) -> Result<Vec<CertificateDer<'static>>> {
    let (mut good, mut odd) = (Vec::new(), Vec::new());
    for (index, block) in blocks(&read(path)?).enumerate() {
        match CertificateDer::from_pem_slice(block) {
            Err(pem::Error::NoItemsFound) => {} // a key, or what else there is
            Ok(certificate) if is_good(&certificate) => good.push(certificate),
            Ok(_) => odd.push((index + 1, "is no certificate that can be read")),
            Err(cause) => odd.push((index + 1, why(&cause))),
        }
    }
    if good.is_empty() {
        let first = odd.first().map(|(block, why)| format!("has no good certificate: block {block} {why}"));
        return Err(wrong(path, first.unwrap_or_else(|| "has no certificate in PEM".into())));
    }
    for (block, why) in odd {
        tracing::warn!(path = %path.display(), block, "a block of this file {why}; it is passed over");
    }
    Ok(good)
}

/// The blocks of a file, each from its first line to the next block's: one that is cut off leaves the next one whole.
fn blocks(pem: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = pem.windows(BEGIN.len()).enumerate().filter(|(_, text)| *text == BEGIN);
    let starts = starts.map(|(start, _)| start).collect::<Vec<_>>();
    let ends = starts.iter().copied().skip(1).chain([pem.len()]).collect::<Vec<_>>();
    starts.into_iter().zip(ends).map(|(start, end)| &pem[start..end])
}

const BEGIN: &[u8] = b"-----BEGIN ";

/// Says in words why a block cannot be read.
fn why(cause: &pem::Error) -> &'static str {
    match cause {
        pem::Error::MissingSectionEnd { .. } => "is cut off: it has no line that ends it",
        pem::Error::IllegalSectionStart { .. } => "has a first line that is not right",
        pem::Error::Base64Decode(_) => "is not in base64",
        _ => "is not in PEM",
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// What may be odd of one block in a file.
    #[derive(Debug, Clone)]
    enum Odd {
        NoEnd,
        NoBase64,
        CutOff(Index),
        Empty,
        NoCertificate,
        OtherBegin,
    }

    impl Odd {
        fn apply(&self, pem: &str) -> String {
            let lines = pem.lines().collect::<Vec<_>>();
            let (first, body, last) = (lines[0], &lines[1..lines.len() - 1], lines[lines.len() - 1]);
            let lines = match self {
                Self::NoEnd => [&[first], body].concat(),
                Self::NoBase64 => [&[first], body, &["%%%", last]].concat(),
                Self::CutOff(at) => [&[first], &body[..at.index(body.len())], &[last]].concat(),
                Self::Empty => vec![first, last],
                Self::NoCertificate => vec![first, "bm90IGEgY2VydGlmaWNhdGU=", last],
                Self::OtherBegin => [&["-----BEGIN CERTIFICATE---"], body, &[last]].concat(),
            };
            lines.join("\n") + "\n"
        }
    }

    fn odd() -> impl Strategy<Value = Odd> {
        prop_oneof![
            Just(Odd::NoEnd),
            Just(Odd::NoBase64),
            any::<Index>().prop_map(Odd::CutOff),
            Just(Odd::Empty),
            Just(Odd::NoCertificate),
            Just(Odd::OtherBegin),
        ]
    }

    fn bundle() -> Vec<(CertificateDer<'static>, String)> {
        let make = |name: &str| {
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            (certificate.der().clone(), certificate.pem())
        };
        ["a.lan", "b.lan", "c.lan"].map(make).into()
    }

    fn read_back(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), pem).unwrap();
        authorities(&[file.path().to_owned()]).inspect_err(|error| {
            assert!(error.report().contains(&file.path().display().to_string()), "{}", error.report());
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn one_odd_block_in_a_bundle_leaves_the_others_trusted(odd in odd(), place in 0..3usize, carriage: bool) {
            let bundle = bundle();
            let block = |(index, (_, pem)): (usize, &(_, String))| if index == place { odd.apply(pem) } else { pem.clone() };
            let mut pem = bundle.iter().enumerate().map(block).collect::<String>();
            if carriage { pem = pem.replace('\n', "\r\n"); }
            let others = bundle.iter().enumerate().filter(|(index, _)| *index != place).map(|(_, (der, _))| der.clone());
            prop_assert_eq!(read_back(&pem).unwrap(), others.collect::<Vec<_>>());
        }

        #[test]
        fn a_file_whose_blocks_are_all_odd_is_refused_with_the_block(odd in odd()) {
            let pem = odd.apply(&bundle()[0].1);
            let error = read_back(&format!("a comment\n{pem}")).unwrap_err();
            prop_assert!(error.report().contains("block 1"), "{}", error.report());
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        for text in ["", "ca\n", &KeyPair::generate().unwrap().serialize_pem()] {
            let error = read_back(text).unwrap_err();
            assert!(error.report().contains("has no certificate"), "{}", error.report());
        }
    }
}
