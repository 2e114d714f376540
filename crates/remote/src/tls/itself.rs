//! Certificates that are trusted by themselves: a server's own certificate, byte for byte, is among the trusted ones.
//!
//! That is how Docker's documentation sets up a registry with a self-signed certificate, which OpenSSL makes as an
//! authority's. Go and OpenSSL accept it; webpki accepts an authority's certificate from no server, and any other only
//! with a signature of an authority. Name and dates are checked here, and rustls checks the handshake's signature.

use std::time::Duration;

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, SliceReader, Tag, Tagged};
use rustls::client::danger::ServerCertVerified;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

/// Whether webpki refused only the certificate's issuer, or its being an authority's.
pub(super) fn may_decide(error: &Error) -> bool {
    use CertificateError as Reason;
    let Error::InvalidCertificate(reason) = error else { return false };
    match reason {
        Reason::UnknownIssuer
        | Reason::BadSignature
        | Reason::UnsupportedSignatureAlgorithmContext { .. }
        | Reason::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => true,
        Reason::Other(other) => is_authority(other),
        _ => false,
    }
}

/// Whether this says that a server shows an authority's certificate as its own.
pub(super) fn is_authority(error: &rustls::OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Verifies the dates and the name of a certificate that is trusted.
pub(super) fn verify(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (not_before, not_after) = validity(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let [not_before, not_after] = [not_before, not_after].map(UnixTime::since_unix_epoch);
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

/// The first and the last second of a certificate
/// ([RFC 5280, section 4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)).
fn validity(certificate: &[u8]) -> der::Result<(Duration, Duration)> {
    let certificate = AnyRef::from_der(certificate)?;
    let signed = next(&mut SliceReader::new(certificate.value())?)?;
    let mut fields = SliceReader::new(signed.value())?;
    if next(&mut fields)?.tag() != Tag::Integer {
        next(&mut fields)?; // the first was the version, and this is the serial number
    }
    let [_algorithm, _issuer, validity] = [next(&mut fields)?, next(&mut fields)?, next(&mut fields)?];
    let mut dates = SliceReader::new(validity.value())?;
    Ok((time(next(&mut dates)?)?, time(next(&mut dates)?)?))
}

fn next<'a>(fields: &mut SliceReader<'a>) -> der::Result<AnyRef<'a>> {
    AnyRef::decode(fields)
}

fn time(value: AnyRef<'_>) -> der::Result<Duration> {
    match value.tag() {
        Tag::UtcTime => Ok(value.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(value.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}
