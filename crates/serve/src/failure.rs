//! Answers that are errors, as the spec writes them
//! ([error codes](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes)).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoist_core::{Error, ErrorKind};
use serde::Serialize;

/// An error, for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    errors: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'a str,
    message: &'a str,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn invalid_name(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message)
    }

    pub(crate) fn invalid_digest() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is not valid")
    }

    pub(crate) fn invalid_count() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "`n` is not a number")
    }

    pub(crate) fn unknown_manifest() -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "the manifest is not here")
    }

    pub(crate) fn unknown_blob() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "the blob is not here")
    }

    pub(crate) fn unknown_name() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "the repository is not here")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is nothing at this path")
    }

    pub(crate) fn read_only() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only")
    }

    pub(crate) fn no_host() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "the request has no Host header")
    }

    pub(crate) fn wrong_host() -> Self {
        let message = "the Host header is neither the address of this server nor one of its names";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "UNSUPPORTED", message)
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Error> for Failure {
    /// Of an error, a client is told the kind. The rest may have paths in it, and goes to the log.
    fn from(error: Error) -> Self {
        if *error.kind() == ErrorKind::Refused {
            return Self::new(StatusCode::FORBIDDEN, "DENIED", "the image may not be handed out");
        }
        tracing::warn!(error = error.report(), "a request cannot be answered");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the store cannot be read")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Body { errors: [Entry { code: self.code, message: &self.message }] };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
