//! Finds the manifest of an image: fetches it, checks it, and chooses it for the platform.

mod index_search;

use hoist_core::{
    Algorithm, Descriptor, Digest, Document, Error, ErrorKind, Index, MAX_DOCUMENT, Manifest, Platform,
    Reference, Result, media_type,
};
use hoist_store::Store;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::client::Client;
use crate::hosts::{Capability, Endpoint, Route};
use crate::http::response;
use index_search::IndexSearch;

const CONTENT_DIGEST: &str = "docker-content-digest";

/// The manifest that a reference leads to.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The platform's manifest, with its platform if an index named it.
    pub(crate) manifest: Descriptor,
    pub(crate) bytes: Vec<u8>,
    pub(crate) document: Manifest,
    /// The outermost index that the manifest was chosen from, if there is one.
    pub(crate) index: Option<(Digest, Vec<u8>)>,
    /// The indexes within that one, which lead to the manifest.
    pub(crate) inner_indexes: Vec<(Digest, Vec<u8>)>,
}

/// A fetched document, with the digest of its bytes.
pub(crate) struct Fetched {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
    pub(crate) document: Document,
}

/// Asks the registry for a reference's image: at most two requests, unless indexes are nested.
pub(crate) async fn resolve(
    client: &Client,
    route: &Route,
    reference: &Reference,
    platform: &Platform,
    store: &Store,
) -> Result<Resolved> {
    let top = fetch(client, route, &reference.selector(), reference.digest()).await?;
    let (index, inner_indexes, chosen) = match top.document {
        Document::Index(index) => {
            let (chosen, inner) = choose(client, route, index, platform, store).await?;
            (Some((top.descriptor.digest, top.bytes)), inner, chosen)
        }
        _ => (None, Vec::new(), top),
    };
    match chosen {
        Fetched { descriptor: manifest, bytes, document: Document::Manifest(document) } => {
            Ok(Resolved { manifest, bytes, document, index, inner_indexes })
        }
        Fetched { document, .. } => {
            Err(Error::new(ErrorKind::Unsupported, format!("unknown document {document:?}")))
        }
    }
}

/// The image for a platform in an index, or in the indexes within it, and those that were looked into.
async fn choose(
    client: &Client,
    route: &Route,
    index: Index,
    platform: &Platform,
    store: &Store,
) -> Result<(Fetched, Vec<(Digest, Vec<u8>)>)> {
    let (mut search, mut inner) = (IndexSearch::of(index, platform)?, Vec::new());
    loop {
        match by_descriptor(client, route, search.next()?, store).await? {
            Fetched { document: Document::Index(index), descriptor, bytes } => {
                search.enter(index)?;
                inner.push((descriptor.digest, bytes));
            }
            image => return Ok((image, inner)),
        }
    }
}

/// The digest that a tag has now, by one `HEAD`. `None`: the registry does not tell the digest or does not support
/// `HEAD`, and a `GET` has to follow.
pub(crate) async fn current_digest(
    client: &Client,
    route: &Route,
    reference: &Reference,
) -> Result<Option<Digest>> {
    let accept = accept();
    let address = |endpoint: &Endpoint| endpoint.manifest(&reference.selector());
    let read = |headers: &HeaderMap, _| served_digest(headers);
    match client.ask(route, Capability::Resolve, (Method::HEAD, &accept), address, read).await {
        Ok(digest) => Ok(digest),
        // A GET will tell whether that is true: some registries answer a HEAD with 403, 404 or 405, and so may the
        // only mirror.
        Err(error) if !error.is_transient() || route.has_mirrors() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A manifest that an index names, from the store or else from the registry.
async fn by_descriptor(client: &Client, route: &Route, chosen: Descriptor, store: &Store) -> Result<Fetched> {
    let fetched = match store.read_blob(&chosen, MAX_DOCUMENT) {
        Ok(Some(bytes)) => {
            let document = Document::parse(&bytes, Some(&chosen.media_type))?;
            Fetched { descriptor: described(&document, &bytes, Some(&chosen.digest)), bytes, document }
        }
        _ => fetch(client, route, &chosen.digest.to_string(), Some(&chosen.digest)).await?,
    };
    if fetched.descriptor.size != chosen.size {
        // Its digest tells that it is the right one. Some tools write no size, or a wrong one.
        tracing::debug!(digest = %chosen.digest, stated = chosen.size, "an index states a wrong size");
    }
    let mut descriptor = fetched.descriptor;
    descriptor.platform = chosen.platform;
    Ok(Fetched { descriptor, ..fetched })
}

/// Fetches a manifest or index. Checks it against the pinned digest and the digest that the registry states, if there
/// are any.
pub(crate) async fn fetch(
    client: &Client,
    route: &Route,
    selector: &str,
    pinned: Option<&Digest>,
) -> Result<Fetched> {
    let needed = if pinned.is_some() { Capability::Pull } else { Capability::Resolve };
    let address = |endpoint: &Endpoint| endpoint.manifest(selector);
    let read = |headers: &HeaderMap, bytes| check(&route.registry, headers, bytes, (selector, pinned));
    client.ask(route, needed, (Method::GET, &accept()), address, read).await
}

/// Checks a host's answer.
fn check(
    registry: &str,
    headers: &HeaderMap,
    bytes: Vec<u8>,
    (selector, pinned): (&str, Option<&Digest>),
) -> Result<Fetched> {
    let served = served_digest(headers)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let document = parse(&bytes, content_type)
        .map_err(|cause| response::error_in_place(registry, &bytes).unwrap_or(cause))
        .map_err(|cause| cause.context(format!("the manifest {selector} cannot be used")));
    // The digest of a signed schema 1 manifest does not cover its signatures: an error about the schema says more.
    let is_unsupported = document.as_ref().is_err_and(|error| *error.kind() == ErrorKind::Unsupported);
    for digest in pinned.iter().copied().chain(&served).filter(|_| !is_unsupported) {
        digest
            .verify(&bytes)
            .map_err(|cause| cause.context(format!("the manifest {selector} is not what it should be")))?;
    }
    let document = document?;
    if let Document::Index(index) = &document {
        for entry in &index.unreadable {
            tracing::info!(
                registry,
                selector,
                error = entry.error.report(),
                "passing over an entry of an index"
            );
        }
    }
    let descriptor = described(&document, &bytes, pinned);
    Ok(Fetched { descriptor, bytes, document })
}

/// Parses an answer. An empty one is tried again: some proxies send one while they fetch the manifest themselves.
fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Document> {
    if bytes.is_empty() {
        let help = "try again later; if this lasts, check the address of the registry";
        return Err(Error::new(ErrorKind::Unavailable, "the answer is empty").with_help(help));
    }
    Document::parse(bytes, content_type).map_err(|cause| match bytes.trim_ascii_start().first() {
        Some(b'{') => cause,
        _ => cause.with_help("is this the address of a registry?"),
    })
}

fn described(document: &Document, bytes: &[u8], pinned: Option<&Digest>) -> Descriptor {
    let mut descriptor = Descriptor::of(document.media_type(), bytes);
    descriptor.digest = pinned.cloned().unwrap_or(descriptor.digest);
    descriptor
}

/// Whether this is an algorithm of digests that can be checked.
fn is_known(algorithm: &str) -> bool {
    Algorithm::ALL.iter().any(|known| known.as_str() == algorithm)
}

/// The digest that the registry states for its answer. `None` also if it is of an algorithm that cannot be checked: that
/// adds nothing, and stops nobody else. Fails if it is malformed.
fn served_digest(headers: &HeaderMap) -> Result<Option<Digest>> {
    let Some(value) = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let value = value.trim().trim_matches('"').to_ascii_lowercase();
    let is_of_others = value.split_once(':').is_some_and(|(algorithm, _)| !is_known(algorithm));
    if value.is_empty() || is_of_others {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|cause: Error| {
        Error::new(ErrorKind::Malformed, "the registry answered with a malformed digest").with_source(cause)
    })
}

pub(crate) fn accept() -> HeaderMap {
    let values = media_type::ACCEPTED.map(|value| (ACCEPT, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(name, value);
    }
    headers
}
