//! TLS errors in words: an unknown authority, a wrong name and an expired certificate each get their own advice.

use rustls::{AlertDescription, CertificateError, Error};

const UNKNOWN: &str = "its certificate is from an authority that is not trusted here";

/// Says in words why TLS failed, and gives advice.
pub(crate) fn explain(error: &Error) -> (String, &'static str) {
    match error {
        Error::InvalidCertificate(reason) => certificate(reason),
        Error::AlertReceived(alert) => alert_received(*alert),
        Error::InvalidMessage(_) => {
            ("it does not speak TLS".into(), "if the registry speaks plain http, say so with `plain-http`")
        }
        other => (other.to_string(), "is this the address of a registry?"),
    }
}

fn certificate(reason: &CertificateError) -> (String, &'static str) {
    match reason {
        // A recreated authority keeps its name and has another key, so that only the signature is wrong.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            UNKNOWN.into(),
            "install the certificate of its authority, point SSL_CERT_FILE to it, or name it as `ca` in hosts.toml",
        ),
        CertificateError::NotValidForName => ("its certificate is for another name".into(), WRONG_NAME),
        CertificateError::NotValidForNameContext { presented, .. } => {
            (format!("its certificate is for another name{}", names(presented)), WRONG_NAME)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("its certificate has expired".into(), "have it renewed, and check this machine's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".into(), "check this machine's clock")
        }
        CertificateError::Revoked => ("its certificate is revoked".into(), "have it renewed"),
        other => (
            format!("its certificate is not valid: {}", Error::InvalidCertificate(other.clone())),
            "install the certificate of its authority, or have it renewed",
        ),
    }
}

const WRONG_NAME: &str = "use a name that it is for, or have it renewed for this one";
const MOST_NAMES: usize = 3;

/// Some of the names that a certificate is for, fit for a terminal.
fn names(presented: &[String]) -> String {
    let names = presented.iter().take(MOST_NAMES).map(|name| name.escape_debug().to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { String::new() } else { format!(": {names}") }
}

fn alert_received(alert: AlertDescription) -> (String, &'static str) {
    match alert {
        AlertDescription::CertificateRequired => (
            "it wants a certificate of ours".into(),
            "name one as `client` in hosts.toml, or put it beside its key in the host's directory",
        ),
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::DecryptError
        | AlertDescription::CertificateExpired => {
            ("it does not take our certificate".into(), "check `client` in hosts.toml")
        }
        other => (format!("it refused the handshake: {other:?}"), "is this the address of a registry?"),
    }
}
