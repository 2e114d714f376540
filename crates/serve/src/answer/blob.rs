//! Blobs, whole or in part.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hoist_core::{Digest, Result};

use super::conditions::{Part, tag};
use super::manifest::CONTENT_DIGEST;
use crate::body::{Buffers, FileBody};
use crate::catalog::Catalog;
use crate::failure::Failure;

/// The number of files that are kept open, and for how long: a file that was replaced meanwhile, because it was damaged,
/// is served no longer than that.
const OPEN: usize = 64;
const OPEN_FOR: Duration = Duration::from_secs(10);

/// An open blob, and its size.
type Opened = (Arc<File>, u64);

/// Blobs that were asked for lately, open.
#[derive(Debug, Default)]
pub(crate) struct Files {
    open: Mutex<HashMap<Digest, (Opened, Instant)>>,
    buffers: Arc<Buffers>,
}

impl Files {
    fn get(
        &self,
        digest: &Digest,
        open: impl FnOnce() -> Result<Option<(File, u64)>>,
    ) -> Result<Option<Opened>> {
        let now = Instant::now();
        if let Some((opened, since)) = self.lock().get(digest)
            && now - *since < OPEN_FOR
        {
            return Ok(Some(opened.clone()));
        }
        let Some((file, size)) = open()? else { return Ok(None) };
        let (opened, mut all) = ((Arc::new(file), size), self.lock());
        if all.len() >= OPEN {
            all.retain(|_, (_, since)| now - *since < OPEN_FOR);
        }
        if all.len() >= OPEN {
            all.clear();
        }
        all.insert(digest.clone(), (opened.clone(), now));
        Ok(Some(opened))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, (Opened, Instant)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blob, or the range of it that the request asks for.
pub(crate) async fn blob(
    catalog: &Catalog,
    files: &Files,
    digest: &Digest,
    headers: &HeaderMap,
    is_head: bool,
) -> std::result::Result<Response, Failure> {
    let entry = catalog.find(digest).await?.ok_or_else(Failure::unknown_blob)?;
    let opened = files.get(digest, || catalog.store().open_content(digest, &entry.image))?;
    let (file, size) = opened.ok_or_else(Failure::unknown_blob)?;
    let tag = tag(digest);
    let mut answer = Response::builder()
        .header(CONTENT_DIGEST, digest.to_string())
        .header(ETAG, &tag)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, "application/octet-stream");
    let (status, range) = match Part::of(headers, &tag, Some(size)) {
        Part::Whole => (StatusCode::OK, 0..size),
        Part::Range(range) => {
            answer = answer.header(CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start(), range.end()));
            (StatusCode::PARTIAL_CONTENT, *range.start()..range.end() + 1)
        }
        Part::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Part::Failed => (StatusCode::PRECONDITION_FAILED, 0..0),
        Part::Unsatisfiable => {
            answer = answer.header(CONTENT_RANGE, format!("bytes */{size}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0)
        }
    };
    if status != StatusCode::NOT_MODIFIED {
        answer = answer.header(CONTENT_LENGTH, range.end - range.start);
    }
    let body = if is_head || range.is_empty() {
        Body::empty()
    } else {
        Body::new(FileBody::new(file, range, files.buffers.clone()))
    };
    Ok(answer.status(status).body(body).expect("its headers have no odd characters"))
}
