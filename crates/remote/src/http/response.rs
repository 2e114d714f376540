//! Reads responses: turns each status into an error of the right kind, and reads bodies within bounds.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hoist_core::{Error, ErrorKind, Result};
use hoist_fetch::StallDetector;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::tls::errors;

/// A whole document may take this many response time-outs. An honest host needs one or two for the largest one.
const LONGEST: u32 = 10;
const MAX_ERROR_BODY: u64 = 16 << 10; // an explanation; more is not read
const READING: &str = "reading the answer";
const MAX_EXPLANATION: usize = 300; // characters of it in an error

/// Fails with the error of the right kind, unless the status is a success. `registry` answered a request for `what`;
/// its explanation in the body is read as by [`read_bounded`].
pub(crate) async fn check(
    response: Response,
    registry: &str,
    what: &str,
    timeout: Duration,
) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let explanation =
        read_bounded(response, MAX_ERROR_BODY, timeout).await.ok().and_then(|body| explain(&body));
    let said = explanation.map_or_else(String::new, |text| format!(", and said: {text}"));
    let error = |kind, help: &str| {
        Error::new(kind, format!("{registry} answered the request for {what} with {status}{said}"))
            .with_help(help)
    };
    Err(match status {
        StatusCode::NOT_FOUND => error(ErrorKind::NotFound, "check the name and the tag"),
        StatusCode::UNAUTHORIZED => error(
            ErrorKind::Unauthorized,
            &format!("check the name, and the credentials: `hoist login {registry}`"),
        ),
        StatusCode::FORBIDDEN => error(ErrorKind::Forbidden, "other credentials may be allowed to pull this"),
        s if s == StatusCode::TOO_MANY_REQUESTS
            || (s == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_some()) =>
        {
            let wait =
                retry_after.map_or_else(|| "wait".to_owned(), |time| format!("wait {} s", time.as_secs()));
            let help = format!("{wait}, or use credentials with a higher limit");
            error(ErrorKind::RateLimited { retry_after }, &help)
        }
        s if s.is_server_error() || s == StatusCode::REQUEST_TIMEOUT => {
            error(ErrorKind::Unavailable, "try again later")
        }
        _ => error(ErrorKind::Unsupported, "is this the address of a registry?"),
    })
}

/// Reads the whole body. Fails with [`Unavailable`](ErrorKind::Unavailable) if it stalls for `timeout`, or takes more
/// than a few times that, and with [`TooLarge`](ErrorKind::TooLarge) beyond `limit` bytes.
pub(crate) async fn read_bounded(response: Response, limit: u64, timeout: Duration) -> Result<Vec<u8>> {
    let reading = read(response, limit, StallDetector::new(timeout));
    let whole = tokio::time::timeout(timeout.saturating_mul(LONGEST), reading).await;
    whole.unwrap_or_else(|_| Err(too_slow()))
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
            return Err(Error::new(ErrorKind::TooLarge, format!("the answer has more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
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
    let help =
        if cause.is_connect() { "check the address, and that the registry runs" } else { "try again later" };
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
    let said = explain(body)?;
    let message = format!("{registry} answered with an error in place of a document, and said: {said}");
    let has_limit = errors(body)?.iter().any(|item| item.code.as_deref() == Some("TOOMANYREQUESTS"));
    Some(if has_limit {
        Error::new(ErrorKind::RateLimited { retry_after: None }, message)
            .with_help("wait, or use credentials with a higher limit")
    } else {
        Error::new(ErrorKind::Malformed, message).with_help("is this the address of a registry?")
    })
}

#[derive(Deserialize)]
struct Item {
    code: Option<String>,
    message: Option<String>,
}

/// The `errors` of the distribution spec's error format
/// ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes)).
fn errors(body: &[u8]) -> Option<Vec<Item>> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Item>,
    }
    serde_json::from_slice::<Envelope>(body).ok().map(|envelope| envelope.errors)
}

/// The errors' messages. An error cleans its texts itself.
fn explain(body: &[u8]) -> Option<String> {
    let texts =
        errors(body)?.into_iter().filter_map(|item| item.message.filter(|m| !m.is_empty()).or(item.code));
    let text: String = texts.collect::<Vec<_>>().join("; ").chars().take(MAX_EXPLANATION).collect();
    Some(text).filter(|text| !text.trim().is_empty())
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
