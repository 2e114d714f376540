//! What a response means: an error of the right kind for each status, and bodies read within bounds.

use std::time::{Duration, SystemTime};

use hoist_core::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

const MAX_ERROR_BODY: u64 = 16 << 10; // an explanation; more is not read
const MAX_EXPLANATION: usize = 300; // characters that are shown of it

/// Fails with the error of the right kind, unless the status is a success.
pub(crate) async fn check(response: Response, what: &str) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let explanation = read_bounded(response, MAX_ERROR_BODY).await.ok().and_then(|body| explain(&body));
    let said = explanation.map_or_else(String::new, |text| format!(", and said: {text}"));
    let error = |kind, help: &str| {
        Error::new(kind, format!("the registry answered {what} with {status}{said}")).with_help(help)
    };
    Err(match status {
        StatusCode::NOT_FOUND => error(ErrorKind::NotFound, "check the name and the tag"),
        StatusCode::UNAUTHORIZED => error(ErrorKind::Unauthorized, "check the name, and the credentials"),
        StatusCode::FORBIDDEN => error(ErrorKind::Forbidden, "these credentials do not allow it"),
        StatusCode::TOO_MANY_REQUESTS => {
            error(ErrorKind::RateLimited { retry_after }, "wait, or log in for a higher limit")
        }
        s if s.is_server_error() || s == StatusCode::REQUEST_TIMEOUT => {
            error(ErrorKind::Unavailable, "try again later")
        }
        _ => error(ErrorKind::Unsupported, "is this the address of a registry?"),
    })
}

/// The whole body. Fails with [`TooLarge`](ErrorKind::TooLarge) beyond `limit` bytes.
pub(crate) async fn read_bounded(mut response: Response, limit: u64) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| failed("reading the answer", cause))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Error::new(ErrorKind::TooLarge, format!("the answer has more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error of the connection, without the address: it can have a secret in it.
pub(crate) fn failed(doing: &str, cause: reqwest::Error) -> Error {
    let cause = cause.without_url();
    let mut root: &(dyn std::error::Error + 'static) = &cause;
    let mut tls = false;
    while let Some(next) = root.source() {
        root = next;
        tls |= root.is::<rustls::Error>();
    }
    // rustls is wrapped in an io::Error, which keeps it to itself.
    tls |= root
        .downcast_ref::<std::io::Error>()
        .and_then(|e| e.get_ref())
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    let (kind, help) = if tls {
        (ErrorKind::Tls, "if the registry speaks plain http, say so with --plain-http")
    } else if cause.is_connect() {
        (ErrorKind::Unavailable, "check the address, and that the registry runs")
    } else {
        (ErrorKind::Unavailable, "try again later")
    };
    Error::new(kind, format!("{doing} failed"))
        .with_source(std::io::Error::other(root.to_string()))
        .with_help(help)
}

/// The `errors` of the distribution spec's error format, in one line fit for a terminal.
fn explain(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        code: Option<String>,
        message: Option<String>,
    }
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let texts =
        envelope.errors.into_iter().filter_map(|item| item.message.filter(|m| !m.is_empty()).or(item.code));
    let text = texts.collect::<Vec<_>>().join("; ");
    let clean: String = text.chars().filter(|c| !c.is_control()).take(MAX_EXPLANATION).collect();
    Some(clean).filter(|text| !text.is_empty())
}

/// `Retry-After`, in seconds or as a date ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}
