//! The router: one place that every request passes, and one way into each answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};

use crate::answer::{self, Documents, Files};
use crate::catalog::Catalog;
use crate::failure::Failure;
use crate::options::{ServeOptions, ServedStore};
use crate::request::{Asked, Query};

/// Registries have said this since docker's first one, and some clients look for it.
const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// The addresses of a connection. [`Server`](crate::Server) adds them to each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) local: SocketAddr,
    pub(crate) client: SocketAddr,
}

/// What a running router works with.
#[derive(Debug)]
pub(crate) struct Serving {
    catalog: Catalog,
    documents: Documents,
    files: Files,
    options: ServeOptions,
}

/// A router that serves the images of a store at `/v2/`, and `/livez` and `/readyz`.
///
/// It checks the `Host` header against the names in the [options](ServeOptions::with_host), if there are any, and in a
/// [`Server`](crate::Server) also against the address of the connection.
pub fn router(served: &impl ServedStore, options: ServeOptions) -> Router {
    Serving::new(served, options).router()
}

impl Serving {
    pub(crate) fn new(served: &impl ServedStore, options: ServeOptions) -> Arc<Self> {
        let catalog = Catalog::new(served.store().clone(), options.clone());
        Arc::new(Self { catalog, documents: Documents::default(), files: Files::default(), options })
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(handle).with_state(self)
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    async fn answer(&self, request: &Parts) -> Result<Response, Failure> {
        self.check_host(request)?;
        let is_head = request.method == Method::HEAD;
        if !is_head && request.method != Method::GET {
            return Err(Failure::read_only());
        }
        let (uri, headers) = (&request.uri, &request.headers);
        match uri.path() {
            "/livez" => return Ok("ok\n".into_response()),
            "/readyz" => return self.ready().await,
            _ => {}
        }
        let query = Query::of(uri);
        match Asked::of(uri, &query, &self.options.default_registry)? {
            Asked::Api => Ok(([(CONTENT_TYPE, "application/json")], "{}").into_response()),
            Asked::Manifest(name) => {
                answer::manifest(&self.catalog, &self.documents, &name, headers, is_head).await
            }
            Asked::Blob(digest) => answer::blob(&self.catalog, &self.files, &digest, headers, is_head).await,
            Asked::Tags { name, repository } => answer::tags(&self.catalog, &name, &repository, &query).await,
            Asked::Referrers(digest) => answer::referrers(&self.catalog, &digest, &query).await,
        }
    }

    /// Whether the store can be read.
    async fn ready(&self) -> Result<Response, Failure> {
        Ok(match self.catalog.refresh().await {
            Ok(()) => "ok\n".into_response(),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n").into_response(),
        })
    }

    /// Refuses requests for other hosts. A web page that has its name lead here cannot ask then.
    fn check_host(&self, request: &Parts) -> Result<(), Failure> {
        let host = request.headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
        let local =
            request.extensions.get::<Addresses>().map(|addresses| addresses.local.ip().to_canonical());
        let Some(host) = host.or(request.uri.host()) else {
            let needs_one = local.is_some() && request.version >= Version::HTTP_11;
            return if needs_one { Err(Failure::no_host()) } else { Ok(()) };
        };
        let host = without_port(host);
        if self.options.hosts.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            return Ok(());
        }
        let Some(local) = local else {
            return if self.options.hosts.is_empty() { Ok(()) } else { Err(Failure::wrong_host()) };
        };
        let is_local = host.eq_ignore_ascii_case("localhost") && local.is_loopback();
        if is_local || host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == local) {
            return Ok(());
        }
        Err(Failure::wrong_host())
    }
}

async fn handle(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let answer = serving.answer(&request).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if request.method == Method::HEAD && !response.headers().contains_key(CONTENT_LENGTH) {
        let (parts, body) = response.into_parts();
        let length = http_body::Body::size_hint(&body).exact();
        response = Response::from_parts(parts, Body::empty());
        response.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    }
    let (name, value) = API_VERSION;
    response.headers_mut().insert(name, value);
    log(&request, &response);
    response
}

/// The access log: one event a request. The answer's bytes may still be under way.
fn log(request: &Parts, response: &Response) {
    tracing::info!(
        client = request.extensions.get::<Addresses>().map(|addresses| tracing::field::display(addresses.client)),
        method = %request.method,
        path = request.uri.path(),
        status = response.status().as_u16(),
        bytes = http_body::Body::size_hint(response.body()).exact(),
        "answered"
    );
}

/// The name or address in a `Host` header.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}
