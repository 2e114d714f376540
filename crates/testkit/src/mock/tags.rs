//! The list of a repository's tags, in pages
//! ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-tags)).

use super::answer::Answer;
use super::request::Asked;

/// The header that says where the list goes on.
pub(super) const LINK: &str = "link";

/// The page that is asked for by `n` and `last`, of these tags in any order.
pub(super) fn page<'a>(asked: &Asked, repository: &str, tags: impl Iterator<Item = &'a String>) -> Answer {
    let number = asked.query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let mut tags: Vec<_> =
        tags.filter(|tag| asked.query.get("last").is_none_or(|last| *tag > last)).collect();
    tags.sort_unstable();
    let has_more = tags.len() > number;
    tags.truncate(number);
    let body = serde_json::json!({"name": repository, "tags": tags}).to_string();
    let answer = Answer::ok("application/json", body);
    match tags.last().filter(|_| has_more) {
        Some(last) => answer.header(LINK, link(repository, number, last)),
        None => answer,
    }
}

/// A page of a list that has no end.
pub(super) fn endless(asked: &Asked) -> Answer {
    let repository = asked.target.repository().unwrap_or_default();
    let number: u64 = asked.query.get("last").and_then(|last| last.parse().ok()).unwrap_or(0) + 1;
    let body = serde_json::json!({"name": repository, "tags": [number.to_string()]}).to_string();
    Answer::ok("application/json", body).header(LINK, link(repository, 1, &number.to_string()))
}

fn link(repository: &str, number: usize, last: &str) -> String {
    format!("</v2/{repository}/tags/list?last={last}&n={number}>; rel=\"next\"")
}
