//! The list of tags of a repository
//! ([content discovery](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#content-discovery)).

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::response::{IntoResponse, Response};
use hoist_core::Reference;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::failure::Failure;
use crate::request::Query;

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    tags: &'a [String],
}

pub(crate) async fn tags(
    catalog: &Catalog,
    name: &str,
    repository: &Reference,
    query: &Query,
) -> Result<Response, Failure> {
    let count = query.count.as_deref().map(str::parse::<usize>).transpose();
    let count = count.map_err(|_| Failure::invalid_count())?;
    let mut tags = catalog.tags(repository).await?;
    if tags.is_empty() {
        return Err(Failure::unknown_name());
    }
    if let Some(last) = &query.last {
        tags.retain(|tag| tag > last);
    }
    let page = &tags[..count.unwrap_or(tags.len()).min(tags.len())];
    let body = serde_json::to_vec(&Body { name, tags: page }).unwrap_or_default();
    let mut response = ([(CONTENT_TYPE, "application/json")], body).into_response();
    if let (Some(count), Some(last)) = (count, page.last())
        && page.len() < tags.len()
    {
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.append_pair("n", &count.to_string()).append_pair("last", last);
        next.extend_pairs(query.registry.iter().map(|registry| ("ns", registry)));
        let link = format!("</v2/{name}/tags/list?{}>; rel=\"next\"", next.finish());
        response.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (LINK, link)));
    }
    Ok(response)
}
