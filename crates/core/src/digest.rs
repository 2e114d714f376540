//! Content digests: they identify blobs and manifests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use crate::error::{Error, ErrorKind, Result};

/// A digest algorithm that is strong enough to trust. These are the two that the OCI image spec registers
/// ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#registered-algorithms)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256, 64 hexadecimal digits; the usual one.
    Sha256,
    /// SHA-512, 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: &[Self] = &[Self::Sha256, Self::Sha512];

    /// The name in a digest: `sha256` or `sha512`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hexadecimal digits in a digest.
    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A well-formed digest: a registered algorithm, a colon, and the right number of lower-case hexadecimal
/// digits. So it is safe as part of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

impl Digest {
    /// The SHA-256 digest of these bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        Hasher::new(Algorithm::Sha256).chain(bytes).finish()
    }

    /// The digest with this algorithm and these hexadecimal digits. `None`: they are not valid for it.
    pub fn of_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        format!("{}:{hex}", algorithm.as_str()).parse().ok()
    }

    /// The algorithm, before the colon.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits, after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) unless these bytes hash to this digest.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        self.expect(&Hasher::new(self.algorithm).chain(bytes).finish())
    }

    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) unless `found` is this digest.
    pub fn expect(&self, found: &Self) -> Result<()> {
        if self == found {
            return Ok(());
        }
        Err(Error::new(ErrorKind::DigestMismatch, format!("content of {self} hashes to {found}"))
            .with_help("the server damaged or replaced it; it was not kept"))
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, hex) = text.split_once(':').ok_or_else(|| malformed(text, "it has no `algorithm:`"))?;
        let algorithm = Algorithm::ALL.iter().copied().find(|a| a.as_str() == name).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("digest {text:?} is neither sha256 nor sha512"))
        })?;
        if hex.len() != algorithm.hex_len() {
            return Err(malformed(text, format!("{name} has {} hexadecimal digits", algorithm.hex_len())));
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed(text, "it may only have the digits 0-9 and a-f"));
        }
        Ok(Self { algorithm, hex: hex.into() })
    }
}

fn malformed(text: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidReference, format!("{text:?} is not a digest: {why}"))
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes a digest incrementally.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has not hashed anything yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Hashes the next bytes, and returns the hasher.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }

    /// The digest of all bytes that were hashed.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => digest(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => digest(Algorithm::Sha512, &state.finalize()),
        }
    }
}

fn digest(algorithm: Algorithm, hash: &[u8]) -> Digest {
    Digest { algorithm, hex: hex::encode(hash).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_as_it_parses() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        let digest = Digest::sha256(b"");
        assert_eq!(format!("sha256:{}", digest.hex()), EMPTY);
        assert_eq!(Digest::of_hex(Algorithm::Sha256, digest.hex()), Some(digest.clone()));
        assert_eq!(Digest::of_hex(Algorithm::Sha512, digest.hex()), None);
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{EMPTY:?}"));
    }

    #[test]
    fn sha512_is_verified_as_sha512() {
        let digest = Hasher::new(Algorithm::Sha512).chain(b"abc").finish();
        assert!(digest.to_string().starts_with("sha512:ddaf35a193617aba"));
        assert!(digest.verify(b"abc").is_ok());
        assert_eq!(*digest.verify(b"abd").unwrap_err().kind(), ErrorKind::DigestMismatch);
    }

    #[test]
    fn what_could_leave_a_directory_or_is_weak_is_no_digest() {
        let short = &EMPTY[..EMPTY.len() - 1];
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for bad in ["", "sha256:", "sha256:../..", short, &upper, "sha256", &format!("{EMPTY}0")] {
            assert_eq!(*bad.parse::<Digest>().unwrap_err().kind(), ErrorKind::InvalidReference, "{bad:?}");
        }
        for weak in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"]
        {
            assert_eq!(*weak.parse::<Digest>().unwrap_err().kind(), ErrorKind::Unsupported, "{weak:?}");
        }
    }
}
