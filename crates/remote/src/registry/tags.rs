//! The tags of a repository, page by page
//! ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-tags)).

use std::collections::HashSet;

use hoist_core::{Error, ErrorKind, Reference, Result};
use hoist_store::owned;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde::Deserialize;

use super::RemoteRegistry;
use crate::hosts::{Capability, Endpoint};
use crate::http::{link, response};

/// The number of tags on a page that we ask for; a registry may give fewer.
const PAGE: usize = 1000;
/// The maximum number of pages: a registry whose list has no end is hostile, or broken (CVE-2023-46737).
const MAX_PAGES: usize = 1000;
/// The maximum number of tags, even if a registry puts more on a page than we asked for.
const MAX_TAGS: usize = MAX_PAGES * PAGE;
/// The maximum size of the tags in memory. The largest repositories have some hundred thousand tags.
const MAX_BYTES: usize = 256 << 20;
/// The size of each of a tag's two copies beside its characters: a `String`, its share of a table with room for more,
/// and the allocator's own data.
const OVERHEAD: usize = 80;

impl RemoteRegistry {
    /// The tags that a repository has now, in the registry's order, each once. Invalid ones are left out.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference) if this is not a repository, but names a tag or
    /// a digest; with [`NotFound`](ErrorKind::NotFound) if there is no such repository; with
    /// [`TooLarge`](ErrorKind::TooLarge) if the list does not end.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let repository = parse(repository)?;
        let (this, of) = (self.clone(), repository.clone());
        let tags = owned(async move { this.all_tags(&of).await }).await;
        tags.map_err(|error| error.context(format!("cannot list the tags of {}", repository.name())))
    }

    async fn all_tags(&self, repository: &Reference) -> Result<Vec<String>> {
        // A mirror's list may be older, and its pages are its own.
        let route = self.hosts.origin(repository.registry(), repository.repository())?;
        let endpoint = route.origin();
        let mut found = List { repository, tags: Vec::new(), seen: HashSet::new(), bytes: 0 };
        let mut url = endpoint.tags();
        url.query_pairs_mut().append_pair("n", &PAGE.to_string());
        for _ in 0..MAX_PAGES {
            let request = (Method::GET, &HeaderMap::new());
            let keep = |headers: &HeaderMap, body| Ok((headers.clone(), body));
            let (headers, body) =
                self.client.ask(&route, Capability::Resolve, request, |_| url.clone(), keep).await?;
            let page = read(endpoint, &body)?;
            let is_full = page.len() >= PAGE;
            let last = page.last().cloned();
            let has_new = found.add(page)?;
            let next = match (link::next(&headers), last) {
                (Some(target), _) => {
                    Some(linked(endpoint, &url, &target).ok_or_else(|| elsewhere(endpoint))?)
                }
                // Some registries have more, and do not say so.
                (None, Some(last)) if is_full => Some(after(endpoint, &last)),
                _ => None,
            };
            match next {
                Some(next) if has_new && next != url => url = next,
                _ => return Ok(found.tags),
            }
        }
        Err(endless(&format!("{MAX_PAGES} pages")))
    }
}

/// The tags so far.
struct List<'a> {
    repository: &'a Reference,
    tags: Vec<String>,
    seen: HashSet<String>,
    bytes: usize,
}

impl List<'_> {
    /// Adds the new tags of a page. Says whether there were any.
    fn add(&mut self, page: Vec<String>) -> Result<bool> {
        let before = self.seen.len();
        for tag in page {
            if !self.seen.insert(tag.clone()) {
                continue;
            }
            if self.seen.len() > MAX_TAGS {
                return Err(endless(&format!("{MAX_TAGS} tags")));
            }
            self.bytes += 2 * (tag.len() + OVERHEAD);
            if self.bytes > MAX_BYTES {
                return Err(endless(&format!("{MAX_BYTES} bytes")));
            }
            if format!("{}:{tag}", self.repository.name()).parse::<Reference>().is_ok() {
                self.tags.push(tag);
            } else {
                tracing::debug!(?tag, "ignoring an invalid tag");
            }
        }
        Ok(self.seen.len() > before)
    }
}

/// A repository's name: a reference without tag and digest.
fn parse(text: &str) -> Result<Reference> {
    let reference: Reference = text.parse()?;
    // Only a bare name can have a tag put behind it.
    if format!("{text}:latest").parse::<Reference>().is_err() {
        let message = format!("{text:?} is not a repository, but one image of it");
        let help = format!("leave out the tag and the digest: {}", reference.name());
        return Err(Error::new(ErrorKind::InvalidReference, message).with_help(help));
    }
    Ok(reference)
}

fn read(endpoint: &Endpoint, body: &[u8]) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        tags: Option<Vec<String>>,
    }
    let page = serde_json::from_slice::<Page>(body).map_err(|cause| {
        response::error_in_place(&endpoint.registry, body).unwrap_or_else(|| {
            let message = format!("{} answered with no list of tags", endpoint.registry);
            Error::new(ErrorKind::Malformed, message)
                .with_source(cause)
                .with_help("is this the address of a registry?")
        })
    })?;
    if page.tags.is_none()
        && let Some(error) = response::error_in_place(&endpoint.registry, body)
    {
        return Err(error);
    }
    Ok(page.tags.unwrap_or_default())
}

/// The page that the registry has linked to. A mirror gets the registry's name as `ns`, even if its link lacks it.
fn linked(endpoint: &Endpoint, current: &Url, target: &str) -> Option<Url> {
    let mut next = link::within(current, target)?;
    let registry = endpoint.origin().query_pairs().find(|(name, _)| name == "ns");
    if let Some((name, registry)) = registry
        && !next.query_pairs().any(|(other, _)| other == name)
    {
        next.query_pairs_mut().append_pair(&name, &registry);
    }
    Some(next)
}

/// The page behind this tag.
fn after(endpoint: &Endpoint, last: &str) -> Url {
    let mut url = endpoint.tags();
    url.query_pairs_mut().append_pair("n", &PAGE.to_string()).append_pair("last", last);
    url
}

fn elsewhere(endpoint: &Endpoint) -> Error {
    let message =
        format!("{} has the list of tags go on at what is no address of the web", endpoint.registry);
    Error::new(ErrorKind::Malformed, message).with_help("it is not followed; is this registry to be trusted?")
}

fn endless(limit: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the list of tags has more than {limit}"))
        .with_help("is this registry to be trusted?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:x}")).collect()
    }

    fn refused(list: &mut List<'_>, page: Vec<String>) -> String {
        let error = list.add(page).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::TooLarge);
        error.report()
    }

    /// The shortest tags take the most memory for each of their characters.
    #[test]
    fn tags_are_counted_and_so_is_the_memory_that_they_take() {
        let repository: Reference = "registry.lan/demo".parse().unwrap();
        let seen = page(MAX_TAGS).into_iter().collect();
        let mut long = List { repository: &repository, tags: Vec::new(), seen, bytes: 0 };
        assert!(refused(&mut long, vec!["one-more".into()]).contains("1000000 tags"));

        let bytes = MAX_BYTES - 100 * 2 * (OVERHEAD + 2);
        let mut large = List { repository: &repository, tags: Vec::new(), seen: HashSet::new(), bytes };
        assert!(large.add(page(90)).unwrap());
        assert!(refused(&mut large, page(256)).contains("268435456 bytes"));
    }
}
