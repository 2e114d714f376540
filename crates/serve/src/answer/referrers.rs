//! The manifests that refer to another one
//! ([listing referrers](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers)).

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hoist_core::{Digest, media_type};
use serde::Serialize;

use crate::catalog::{Catalog, Referrer};
use crate::failure::Failure;
use crate::request::Query;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<&'a Referrer>,
}

pub(crate) async fn referrers(
    catalog: &Catalog,
    subject: &Digest,
    query: &Query,
) -> Result<Response, Failure> {
    let all = catalog.referrers(subject).await?;
    let wanted = query.artifact_type.as_deref();
    let manifests =
        all.iter().filter(|one| wanted.is_none_or(|wanted| one.artifact_type.as_deref() == Some(wanted)));
    let body = Body { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: manifests.collect() };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = ([(CONTENT_TYPE, media_type::OCI_INDEX)], body).into_response();
    if wanted.is_some() {
        response.headers_mut().insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}
