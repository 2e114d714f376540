//! Manifests and indexes, byte for byte as they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hoist_core::{Digest, Document, Reference, Result};

use super::conditions::{Part, tag};
use crate::catalog::Catalog;
use crate::failure::Failure;

/// The header with the digest of what is sent.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";
/// The number of documents that are kept in memory, and the size of the largest.
const KEPT: usize = 256;
const LARGEST_KEPT: usize = 64 << 10;

/// A manifest or an index, which was verified when it was read.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    bytes: Bytes,
    media_type: Arc<str>,
}

/// Documents that were asked for lately.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<HashMap<Digest, Served>>);

impl Documents {
    fn get(&self, digest: &Digest, read: impl FnOnce() -> Result<Option<Vec<u8>>>) -> Result<Option<Served>> {
        let known = self.lock().get(digest).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(bytes) = read()? else { return Ok(None) };
        let Ok(document) = Document::parse(&bytes, None) else { return Ok(None) };
        let served = Served { media_type: document.media_type().into(), bytes: bytes.into() };
        if served.bytes.len() <= LARGEST_KEPT {
            let mut kept = self.lock();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(digest.clone(), served.clone());
        }
        Ok(Some(served))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Served>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document that a tag or a digest leads to.
pub(crate) async fn manifest(
    catalog: &Catalog,
    documents: &Documents,
    asked: &Reference,
    headers: &HeaderMap,
    is_head: bool,
) -> std::result::Result<Response, Failure> {
    let found = match asked.digest() {
        Some(digest) => catalog.find(digest).await?.map(|entry| (digest.clone(), entry)),
        None => catalog.find_tag(asked).await?.map(|entry| (entry.resolved.clone(), entry)),
    };
    let Some((digest, entry)) = found else { return Err(Failure::unknown_manifest()) };
    let served = documents.get(&digest, || catalog.document(&entry, &digest))?;
    let Some(served) = served else { return Err(Failure::unknown_manifest()) };
    let tag = tag(&digest);
    let (status, body) = match Part::of(headers, &tag, None) {
        Part::NotModified => (StatusCode::NOT_MODIFIED, Bytes::new()),
        Part::Failed => (StatusCode::PRECONDITION_FAILED, Bytes::new()),
        _ => (StatusCode::OK, served.bytes.clone()),
    };
    let mut answer = Response::builder()
        .status(status)
        .header(CONTENT_DIGEST, digest.to_string())
        .header(ETAG, tag)
        .header(CONTENT_TYPE, &*served.media_type);
    if status == StatusCode::OK {
        answer = answer.header(CONTENT_LENGTH, body.len());
    }
    let body = if is_head { Body::empty() } else { Body::from(body) };
    Ok(answer.body(body).expect("its headers have no odd characters"))
}
