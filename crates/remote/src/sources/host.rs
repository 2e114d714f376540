//! A host of a registry as a source of blobs.

use std::fmt;
use std::ops::Range;

use futures_util::StreamExt;
use hoist_core::{Descriptor, Error, ErrorKind, Result, Source};
use hoist_fetch::{BlobBody, BlobSource, SourceError, SourceId};
use reqwest::header::{HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::foreign::ForeignLayers;
use crate::client::SharedClient;
use crate::hosts::Endpoint;
use crate::http::coding::Coding;
use crate::http::{content_range, response};

/// A host that serves a repository's blobs.
pub(super) struct Host {
    pub(super) client: SharedClient,
    pub(super) endpoint: Endpoint,
    /// For the origin: the other addresses that foreign layers may come from.
    pub(super) foreign: Option<ForeignLayers>,
}

#[async_trait::async_trait]
impl BlobSource for Host {
    fn id(&self) -> &SourceId {
        &self.endpoint.host.id
    }

    fn told_as(&self) -> Source {
        Source::Registry(self.endpoint.registry.as_str().into())
    }

    async fn open(
        &self,
        blob: &Descriptor,
        range: Option<Range<u64>>,
    ) -> std::result::Result<BlobBody, SourceError> {
        if let Some(range) = range {
            match self.get(blob, Some(&range)).await {
                Ok(answer) if answer.status() != StatusCode::PARTIAL_CONTENT => {
                    return Ok(body(answer, 0, blob));
                }
                Ok(answer) if content_range::first_byte(&answer) == Some(range.start) => {
                    return Ok(body(answer, range.start, blob));
                }
                Err(error) if *error.kind() != ErrorKind::Unsupported => return Err(error.into()),
                Ok(_) | Err(_) => {} // it misreads ranges, or refuses them
            }
        }
        let answer = self.get(blob, None).await?;
        if answer.status() == StatusCode::PARTIAL_CONTENT && content_range::first_byte(&answer) != Some(0) {
            let message = format!("{self} answered a part of {}, not the whole", blob.digest);
            return Err(Error::new(ErrorKind::Unavailable, message).into());
        }
        Ok(body(answer, 0, blob))
    }
}

impl Host {
    async fn get(&self, blob: &Descriptor, part: Option<&Range<u64>>) -> Result<Response> {
        let headers: HeaderMap = part.map(|part| (RANGE, content_range::header(part))).into_iter().collect();
        let url = self.endpoint.blob(&blob.digest);
        let answer = self.client.send_once(&self.endpoint, Method::GET, &url, &headers).await;
        let lengths = [blob.size, part.map_or(blob.size, |part| part.end - part.start)];
        answer.and_then(|answer| self.expect_as_it_is(answer, &lengths)).map_err(|error| {
            match &self.foreign {
                Some(foreign) if *error.kind() == ErrorKind::NotFound => foreign.explain_missing(blob, error),
                _ => error,
            }
        })
    }
}

impl Host {
    /// Fails if the blob was compressed on the way. Some servers call one coded that is compressed anyway, and send it as
    /// it is: with one of these lengths.
    fn expect_as_it_is(&self, answer: Response, lengths: &[u64]) -> Result<Response> {
        let has_length = answer.content_length().is_some_and(|length| lengths.contains(&length));
        if Coding::of(answer.headers()) == Coding::Identity || has_length {
            return Ok(answer);
        }
        let message = format!("{self}, or a proxy on the way, compressed a blob, and was asked not to");
        let help = "have it leave blobs as they are: no `Content-Encoding` for `/v2/`";
        Err(Error::new(ErrorKind::Malformed, message).with_help(help))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint.registry)
    }
}

/// An answer that begins at `start` of the blob.
fn body(answer: Response, start: u64, blob: &Descriptor) -> BlobBody {
    let length = answer.content_length();
    let doing = format!("fetching the blob {}", blob.digest);
    let stream = answer.bytes_stream();
    let failed = move |cause| SourceError::from(response::failed(&doing, cause));
    BlobBody::new(start, length, stream.map(move |part| part.map_err(&failed)))
}
