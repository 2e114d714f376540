//! The hosts of a registry as sources of blobs: its mirrors, the origin, and the addresses of foreign layers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use hoist_core::{Descriptor, Error, ErrorKind, Result, Source};
use hoist_fetch::{BlobBody, BlobSource, SourceError, SourceId, Sources, Tier, Wanted};
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::client::SharedClient;
use crate::foreign::ForeignLayers;
use crate::hosts::Endpoint;
use crate::hosts::{Capability, Route};
use crate::http::{content_range, response};

/// These blobs with the sources that each may come from: the hosts of the route that may be asked, and the addresses of a
/// foreign layer.
pub(crate) fn wanted<'a>(
    client: &SharedClient,
    route: &Route,
    foreign: &ForeignLayers,
    blobs: impl Iterator<Item = &'a Descriptor>,
) -> Result<Vec<Wanted>> {
    let hosts = hosts(client, route, foreign)?;
    Ok(blobs.map(|blob| Wanted::new(blob.clone(), foreign.sources(blob, hosts.clone()))).collect())
}

/// The hosts that may be asked for blobs: mirrors in their order, and the origin.
pub(crate) fn hosts(client: &SharedClient, route: &Route, foreign: &ForeignLayers) -> Result<Sources> {
    let able =
        route.endpoints().iter().enumerate().filter(|(_, endpoint)| endpoint.host.has(Capability::Pull));
    let (mut sources, mut is_empty) = (Sources::default(), true);
    for (place, endpoint) in able {
        let is_origin = place == route.origin_place();
        let host = Host {
            client: client.clone(),
            endpoint: endpoint.clone(),
            foreign: is_origin.then(|| foreign.clone()),
        };
        let tier = if is_origin { Tier::Origin } else { Tier::Mirror(place) };
        (sources, is_empty) = (sources.with(tier, Arc::new(host)), false);
    }
    if is_empty {
        return Err(route.attempts(Capability::Pull, &client.fetcher).into_error());
    }
    Ok(sources)
}

/// A host that serves a repository's blobs.
struct Host {
    client: SharedClient,
    endpoint: Endpoint,
    /// Of the origin: where else foreign layers may come from.
    foreign: Option<ForeignLayers>,
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
                Ok(answer) if first_byte(&answer) == Some(range.start) => {
                    return Ok(body(answer, range.start, blob));
                }
                Err(error) if *error.kind() != ErrorKind::Unsupported => return Err(error.into()),
                Ok(_) | Err(_) => {} // it misreads ranges, or refuses them
            }
        }
        let answer = self.get(blob, None).await?;
        if answer.status() == StatusCode::PARTIAL_CONTENT && first_byte(&answer) != Some(0) {
            let message = format!("{self} answered a part of {}, not the whole", blob.digest);
            return Err(Error::new(ErrorKind::Unavailable, message).into());
        }
        Ok(body(answer, 0, blob))
    }
}

impl Host {
    async fn get(&self, blob: &Descriptor, part: Option<&Range<u64>>) -> Result<Response> {
        let headers: HeaderMap = part.map(|part| (RANGE, range(part))).into_iter().collect();
        let url = self.endpoint.blob(&blob.digest);
        let answer = self.client.send_once(&self.endpoint, Method::GET, &url, &headers).await;
        answer.map_err(|error| match &self.foreign {
            Some(foreign) if *error.kind() == ErrorKind::NotFound => foreign.explain_missing(blob, error),
            _ => error,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint.registry)
    }
}

/// An answer that begins at `start` of the blob.
pub(crate) fn body(answer: Response, start: u64, blob: &Descriptor) -> BlobBody {
    let length = answer.content_length();
    let doing = format!("fetching the blob {}", blob.digest);
    let stream = answer.bytes_stream();
    let failed = move |cause| SourceError::from(response::failed(&doing, cause));
    BlobBody::new(start, length, stream.map(move |part| part.map_err(&failed)))
}

/// Where a part begins, as its `Content-Range` says.
pub(crate) fn first_byte(answer: &Response) -> Option<u64> {
    let stated = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    content_range::parse(stated).map(|(first, _)| first)
}

/// A closed range: some registries answer an open one with 416.
pub(crate) fn range(range: &Range<u64>) -> HeaderValue {
    let text = format!("bytes={}-{}", range.start, range.end - 1);
    HeaderValue::from_str(&text).expect("digits, `=` and `-` may stand in a header")
}
