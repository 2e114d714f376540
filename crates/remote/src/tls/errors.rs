//! TLS errors in words: each trouble has its own sentence and its own advice. None quotes rustls.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use super::itself;

/// Where an authority's certificate may be put.
const NAME_AUTHORITY: &str =
    "install the certificate of its authority, point SSL_CERT_FILE to it, or name it as `ca` in hosts.toml";
const WRONG_NAME: &str = "use a name that it is for, or have it renewed for this one";
const RENEW: &str = "have it renewed by the registry's operator";
const NAME_CLIENT: &str =
    "name one as `client` in hosts.toml, or put it beside its key in the host's directory";
const OLD_SERVER: &str = "have the registry, or the proxy before it, allow TLS 1.3, or TLS 1.2 with ECDHE";
/// Said when not one certificate of the system can be read.
pub(super) const NO_ROOTS: &str =
    "this system has no certificates to trust; install ca-certificates, or set SSL_CERT_FILE";

/// Says in words why TLS failed, and gives advice.
pub(crate) fn explain(error: &Error) -> (String, &'static str) {
    match error {
        Error::InvalidCertificate(reason) => certificate(reason),
        Error::AlertReceived(alert) => alert_received(*alert),
        Error::PeerIncompatible(reason) => incompatible(reason),
        Error::InvalidMessage(_) => {
            ("it does not speak TLS".into(), "if the registry speaks plain http, say so with `plain-http`")
        }
        Error::NoCertificatesPresented => ("it shows no certificate".into(), "give the registry one"),
        Error::General(said) if said == NO_ROOTS => ("its certificate cannot be verified".into(), NO_ROOTS),
        Error::FailedToGetCurrentTime => ("this machine's clock cannot be read".into(), "set the clock"),
        Error::NoApplicationProtocol => ("it does not offer HTTP/1.1".into(), "have it offer HTTP/1.1"),
        _ => (
            "what it sent breaks the rules of TLS".into(),
            "look for a proxy or a firewall on the way, and in the registry's log",
        ),
    }
}

fn certificate(reason: &CertificateError) -> (String, &'static str) {
    use CertificateError as Reason;
    match reason {
        // A recreated authority keeps its name and has another key, so that only the signature is wrong.
        Reason::UnknownIssuer | Reason::BadSignature => {
            ("its certificate is from an authority that is not trusted here".into(), NAME_AUTHORITY)
        }
        Reason::NotValidForName => ("its certificate is for another name".into(), WRONG_NAME),
        Reason::NotValidForNameContext { presented, .. } => wrong_name(presented),
        Reason::Expired => (expired(None), "have it renewed, and check this machine's clock"),
        Reason::ExpiredContext { time, not_after } => {
            (expired(Some(between(*not_after, *time))), "have it renewed, and check this machine's clock")
        }
        Reason::NotValidYet => (early(None), "check this machine's clock"),
        Reason::NotValidYetContext { time, not_before } => {
            (early(Some(between(*time, *not_before))), "check this machine's clock")
        }
        Reason::Revoked => ("its certificate is revoked".into(), "have it renewed"),
        Reason::UnsupportedSignatureAlgorithmContext { .. }
        | Reason::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "its certificate is signed in a way that is not supported".into(),
            "have it renewed with an RSA (2048 bits or more), P-256, P-384 or Ed25519 key, and SHA-256 or better",
        ),
        Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => (
            "its certificate is not for servers".into(),
            "have it renewed with the extended key usage `serverAuth`",
        ),
        Reason::BadEncoding => ("its certificate is damaged".into(), RENEW),
        Reason::UnhandledCriticalExtension => (CRITICAL.into(), RENEW),
        Reason::Other(other) => broken_rule(other),
        _ => ("its certificate is not valid".into(), RENEW),
    }
}

const CRITICAL: &str = "its certificate has a critical extension that is not supported";

/// The rules of X.509 that webpki names and rustls does not.
fn broken_rule(error: &OtherError) -> (String, &'static str) {
    use webpki::Error as Rule;
    if itself::is_authority(error) {
        let help = "name this certificate itself as `ca` in hosts.toml, or have it renewed with `CA:FALSE`";
        return ("its certificate is an authority's (`CA:TRUE`), and not a server's".into(), help);
    }
    let (what, help) = match error.0.downcast_ref() {
        Some(Rule::UnsupportedCertVersion) => (
            "its certificate is not an X.509 certificate of version 3",
            "have it renewed with a subjectAltName",
        ),
        Some(Rule::UnsupportedCriticalExtension) => (CRITICAL, RENEW),
        Some(Rule::EndEntityUsedAsCa) => {
            ("its certificate is signed by one that is no authority's (`CA:FALSE`)", NAME_AUTHORITY)
        }
        Some(Rule::NameConstraintViolation) => {
            ("its authority is not allowed to certify this name", "have it certified by another authority")
        }
        Some(Rule::PathLenConstraintViolated | Rule::MaximumPathDepthExceeded) => {
            ("there are more authorities between it and the trusted one than are allowed", RENEW)
        }
        _ => ("its certificate breaks the rules of X.509", RENEW),
    };
    (what.into(), help)
}

fn wrong_name(presented: &[String]) -> (String, &'static str) {
    if presented.is_empty() {
        let what = "its certificate has no subjectAltName, and a common name alone is not read";
        return (what.into(), "have it renewed with this name, or address, as its subjectAltName");
    }
    (format!("its certificate is for another name{}", names(presented)), WRONG_NAME)
}

const MOST_NAMES: usize = 3;

/// Some of the names that a certificate is for, fit for a terminal. rustls gives them as `DnsName("a.lan")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &str| {
        let within = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        within.trim_matches('"').escape_debug().to_string()
    };
    let more = if presented.len() > MOST_NAMES { ", and others" } else { "" };
    let names = presented.iter().take(MOST_NAMES).map(|name| bare(name)).collect::<Vec<_>>();
    format!(": {}{more}", names.join(", "))
}

fn expired(ago: Option<Duration>) -> String {
    format!(
        "its certificate has expired{}",
        ago.map_or_else(String::new, |ago| format!(", {} ago", rough(ago)))
    )
}

fn early(ahead: Option<Duration>) -> String {
    let ahead = ahead.map_or_else(String::new, |ahead| format!(": its first day is {} ahead", rough(ahead)));
    format!("its certificate is not valid yet{ahead}")
}

fn between(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

/// Days, or hours or minutes if there are none.
fn rough(time: Duration) -> String {
    let (count, unit) = match time.as_secs() / 60 {
        minutes @ ..60 => (minutes, "minute"),
        minutes @ ..1440 => (minutes / 60, "hour"),
        minutes => (minutes / 1440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn incompatible(reason: &PeerIncompatible) -> (String, &'static str) {
    use PeerIncompatible as Reason;
    let what = match reason {
        Reason::ServerDoesNotSupportTls12Or13
        | Reason::ServerTlsVersionIsDisabledByOurConfig
        | Reason::Tls12NotOffered
        | Reason::Tls12NotOfferedOrEnabled
        | Reason::SupportedVersionsExtensionRequired => OLD_VERSION,
        Reason::NoCipherSuitesInCommon => "it has no cipher in common with hoist",
        Reason::NoSignatureSchemesInCommon | Reason::NoCertificateRequestSignatureSchemesInCommon => {
            "it has no kind of signature in common with hoist"
        }
        _ => "it has no way to exchange keys in common with hoist",
    };
    (what.into(), OLD_SERVER)
}

const OLD_VERSION: &str = "it has no TLS version in common with hoist, which speaks 1.2 and 1.3";

fn alert_received(alert: AlertDescription) -> (String, &'static str) {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => ("it wants a certificate of ours".into(), NAME_CLIENT),
        Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::CertificateUnknown
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::UnsupportedCertificate
        | Alert::DecryptError => (
            "it does not take our certificate".into(),
            "check `client` in hosts.toml: its dates, and that the registry knows its authority",
        ),
        // Go's servers say so with TLS 1.2, whether there was a certificate or not.
        Alert::BadCertificate => ("it does not take our certificate, or wants one".into(), NAME_CLIENT),
        // OpenSSL's servers say so of all of these.
        Alert::HandshakeFailure | Alert::InsufficientSecurity => (
            "it has no TLS version, cipher or kind of certificate in common with hoist, or wants a certificate of ours"
                .into(),
            "have it allow TLS 1.3, or TLS 1.2 with ECDHE, and a certificate with an RSA, P-256, P-384 or Ed25519 key \
             (not P-521); if it wants a certificate, name one as `client` in hosts.toml",
        ),
        Alert::ProtocolVersion => (OLD_VERSION.into(), OLD_SERVER),
        Alert::UnrecognisedName => ("it knows no host of this name".into(), "check the registry's name"),
        Alert::InternalError => ("it has an internal error".into(), "look into the registry's log, or try again later"),
        other => (
            format!("it refused the handshake with the TLS alert {}", u8::from(other)),
            "look for the reason in the registry's log, and check that this is its address",
        ),
    }
}
