//! Reads responses: turns each status into an error of the right kind, and reads bodies within bounds.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hoist_core::{Error, ErrorKind, Result};
use hoist_fetch::StallDetector;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

use super::coding::Coding;
use super::explanation;
use crate::tls::errors;

/// A whole document may take this many response time-outs. An honest host needs one or two for the largest one.
const LONGEST: u32 = 10;
const MAX_ERROR_BODY: u64 = 16 << 10; // an explanation; more is not read
const READING: &str = "reading the answer";

/// Who was asked for what, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The registry, or the token server.
    pub(crate) host: &'a str,
    pub(crate) what: &'a str,
    pub(crate) url: &'a Url,
}

/// Fails with the error of the right kind, unless the status is a success. The explanation in the body is read as by
/// [`read_bounded`]. The error names the server that answered: the one that was asked, or the one that it redirected to.
pub(crate) async fn check(response: Response, asked: Question<'_>, timeout: Duration) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let elsewhere = elsewhere(response.url(), asked.url);
    let body = read_bounded(response, MAX_ERROR_BODY, timeout).await.unwrap_or_default();
    let said = explanation::explain(&body).map_or_else(String::new, |text| format!(", and said: {text}"));
    let host = match &elsewhere {
        Some(other) => format!("{other}, where {} redirects to,", asked.host),
        None => asked.host.to_owned(),
    };
    let (kind, help) = match elsewhere {
        Some(_) => judge_elsewhere(status, retry_after),
        None => judge(status, retry_after, asked, &body),
    };
    let what = asked.what;
    Err(Error::new(kind, format!("{host} answered the request for {what} with {status}{said}"))
        .with_help(help))
}

/// The host that answered, if it is not the one that was asked. Its path and query may hold secrets.
fn elsewhere(answered: &Url, asked: &Url) -> Option<String> {
    (answered.origin() != asked.origin()).then(|| host_of(answered))
}

/// The host of an address, with its port where it is an unusual one.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What the status of a server means that a registry redirected to, such as its storage.
fn judge_elsewhere(status: StatusCode, retry_after: Option<Duration>) -> (ErrorKind, String) {
    let broken = "the registry's storage refuses what the registry sent us there for; tell its operator";
    match status {
        StatusCode::NOT_FOUND => {
            (ErrorKind::NotFound, "the registry's storage lost it; push it again".into())
        }
        StatusCode::UNAUTHORIZED => (ErrorKind::Unauthorized, broken.into()),
        StatusCode::FORBIDDEN => (ErrorKind::Forbidden, broken.into()),
        _ => judge_by_status(status, retry_after).unwrap_or((ErrorKind::Unsupported, broken.into())),
    }
}

/// What a registry's own status means.
fn judge(
    status: StatusCode,
    retry_after: Option<Duration>,
    asked: Question<'_>,
    body: &[u8],
) -> (ErrorKind, String) {
    let (kind, help) = match status {
        // Names have no colon.
        StatusCode::NOT_FOUND if asked.what.contains(':') => {
            (ErrorKind::NotFound, "the registry does not have it, or no longer; push the image again".into())
        }
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, "check the name and the tag".into()),
        StatusCode::UNAUTHORIZED => (
            ErrorKind::Unauthorized,
            format!("check the name, and the credentials: `hoist login {}`", asked.host),
        ),
        StatusCode::FORBIDDEN => {
            (ErrorKind::Forbidden, "other credentials may be allowed to pull this".into())
        }
        // Harbor's scans and signatures; the law.
        StatusCode::PRECONDITION_FAILED | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            (ErrorKind::Forbidden, "a rule of the registry forbids this; ask its operator".into())
        }
        _ if explanation::wants_tls(body) => (ErrorKind::Tls, WANTS_TLS.into()),
        _ if explanation::wants_certificate(body) => (ErrorKind::Tls, WANTS_CERTIFICATE.into()),
        _ => judge_by_status(status, retry_after).unwrap_or_else(|| {
            let help = if explanation::is_of_registry(body) {
                "the registry refuses the request; its operator may know why"
            } else {
                "is this the address of a registry?"
            };
            (ErrorKind::Unsupported, help.into())
        }),
    };
    (kind, help)
}

const WANTS_TLS: &str =
    "it speaks TLS: leave out `plain-http`; for a loopback name, put its `ca.crt` into a hosts directory";
const WANTS_CERTIFICATE: &str = "it wants a client certificate: name one as `client` in hosts.toml, or put it beside its key in the host's directory";

/// What a status means, whoever answers it. `None`: it is no matter of waiting.
fn judge_by_status(status: StatusCode, retry_after: Option<Duration>) -> Option<(ErrorKind, String)> {
    let is_limit = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_some());
    if is_limit {
        let wait = retry_after.map_or_else(|| "wait".to_owned(), |time| format!("wait {} s", time.as_secs()));
        let help = format!("{wait}, or use credentials with a higher limit");
        return Some((ErrorKind::RateLimited { retry_after }, help));
    }
    let is_transient = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    is_transient.then(|| (ErrorKind::Unavailable, "try again later".to_owned()))
}

/// Reads the whole body, and decompresses it if a proxy compressed it. Fails with [`Unavailable`](ErrorKind::Unavailable) if it stalls for `timeout`, or takes more
/// than a few times that, and with [`TooLarge`](ErrorKind::TooLarge) beyond `limit` bytes.
pub(crate) async fn read_bounded(response: Response, limit: u64, timeout: Duration) -> Result<Vec<u8>> {
    let coding = Coding::of(response.headers());
    let reading = read(response, limit, StallDetector::new(timeout));
    let whole = tokio::time::timeout(timeout.saturating_mul(LONGEST), reading).await;
    coding.decode(whole.unwrap_or_else(|_| Err(too_slow()))?, limit)
}

async fn read(mut response: Response, limit: u64, mut stall: StallDetector) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = |chunk: &reqwest::Result<Option<Bytes>>| match chunk {
            Ok(Some(bytes)) => bytes.len(),
            _ => 0,
        };
        let chunk = stall.next(response.chunk(), length).await.ok_or_else(too_slow)?;
        let Some(chunk) = chunk.map_err(|cause| failed(READING, cause))? else { return Ok(body) };
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
}

pub(super) fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the answer has more than {limit} bytes"))
}

fn too_slow() -> Error {
    Error::new(ErrorKind::Unavailable, format!("{READING} failed: it came too slowly"))
        .with_help("try again later")
}

/// An error of the connection, without the address, which may hold a secret.
pub(crate) fn failed(doing: &str, cause: reqwest::Error) -> Error {
    let cause = cause.without_url();
    if let Some(error) = tls_error(&cause) {
        let (what, help) = errors::explain(error);
        let cause = io::Error::other(what);
        return Error::new(ErrorKind::Tls, format!("{doing} failed")).with_source(cause).with_help(help);
    }
    let help = match (cause.is_connect(), cause.is_timeout()) {
        (true, _) => "check the address, and that the registry runs",
        (_, true) => {
            let message = format!("{doing} failed: no answer began in time");
            let help = "try again later; if the registry first fetches the image from another one, raise `remote.answer-timeout`";
            return Error::new(ErrorKind::Unavailable, message).with_help(help);
        }
        _ => "try again later",
    };
    let root = successors(Some(&cause as &(dyn StdError + 'static)), |&error| error.source()).last();
    let root = root.map_or_else(String::new, ToString::to_string);
    Error::new(ErrorKind::Unavailable, format!("{doing} failed"))
        .with_source(io::Error::other(root))
        .with_help(help)
}

/// The error for a redirect that is not followed.
pub(crate) fn misled(doing: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{doing} failed"))
        .with_source(io::Error::other(why))
        .with_help("its redirects cannot be followed; is this the address of a registry?")
}

/// The TLS error in a chain of causes. An `io::Error` does not name the error within it as its source.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let within = |error: &'a io::Error| error.get_ref().and_then(|inner| tls_error(inner));
    error
        .downcast_ref::<rustls::Error>()
        .or_else(|| error.downcast_ref::<io::Error>().and_then(within))
        .or_else(|| error.source().and_then(tls_error))
}

/// The error that a registry sent in place of content, with a status of success (watchtower#2229). `None`: the body is
/// not an error.
pub(crate) fn error_in_place(registry: &str, body: &[u8]) -> Option<Error> {
    if !explanation::is_of_registry(body) {
        return None;
    }
    let said = explanation::explain(body)?;
    let message = format!("{registry} answered with an error in place of a document, and said: {said}");
    let has_limit = explanation::has_code(body, "TOOMANYREQUESTS");
    Some(if has_limit {
        Error::new(ErrorKind::RateLimited { retry_after: None }, message)
            .with_help("wait, or use credentials with a higher limit")
    } else {
        Error::new(ErrorKind::Malformed, message).with_help("tell the registry's operator")
    })
}

/// `Retry-After`, in seconds or as a date
/// ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_tls_is_found_however_deep_it_is_wrapped() {
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::other(expired.clone()));
        assert_eq!(tls_error(&wrapped), Some(&expired));
        assert_eq!(tls_error(&io::Error::other("refused")), None);
    }
}
