//! Conditions and ranges of a request for content that never changes
//! ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2)).

use std::ops::RangeInclusive;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName};
use hoist_core::Digest;

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Range(RangeInclusive<u64>),
    /// The client has it already.
    NotModified,
    /// The client wants it only if it is something else.
    Failed,
    /// The range is beyond the end.
    Unsatisfiable,
}

/// The entity tag of this content: it is the digest.
pub(super) fn tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

impl Part {
    /// `size`: of content that has ranges.
    pub(super) fn of(headers: &HeaderMap, tag: &str, size: Option<u64>) -> Self {
        if value(headers, &IF_MATCH).is_some_and(|tags| !matches(tags, tag, false)) {
            return Self::Failed;
        }
        if value(headers, &IF_NONE_MATCH).is_some_and(|tags| matches(tags, tag, true)) {
            return Self::NotModified;
        }
        let range = value(headers, &RANGE).zip(size);
        match range {
            // A date never matches: the content has none.
            Some((range, size)) if value(headers, &IF_RANGE).is_none_or(|only| only == tag) => {
                Self::of_range(range, size)
            }
            _ => Self::Whole,
        }
    }

    /// Several ranges, and units other than bytes, are ignored, as the RFC allows.
    fn of_range(range: &str, size: u64) -> Self {
        let Ok(parsed) = http_range_header::parse_range_header(range) else { return Self::Whole };
        if range.contains(',') {
            return Self::Whole;
        }
        match parsed.validate(size) {
            Ok(ranges) => match &ranges[..] {
                [range] => Self::Range(range.clone()),
                _ => Self::Unsatisfiable,
            },
            Err(_) => Self::Unsatisfiable,
        }
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

/// Whether a list of entity tags has this one. No tag of ours has a comma in it.
fn matches(tags: &str, tag: &str, weakly: bool) -> bool {
    let is_it = |other: &str| {
        let other = other.trim();
        let other = if weakly { other.strip_prefix("W/").unwrap_or(other) } else { other };
        other == "*" || other == tag
    };
    tags.split(',').any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(headers: &[(HeaderName, &str)], size: u64) -> Part {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Part::of(&headers, "\"sha256:a\"", Some(size))
    }

    #[test]
    fn one_range_of_bytes_is_answered() {
        for (range, size, expected) in [
            ("bytes=0-9", 100, Part::Range(0..=9)),
            ("bytes=90-", 100, Part::Range(90..=99)),
            ("bytes=-10", 100, Part::Range(90..=99)),
            ("bytes=90-200", 100, Part::Range(90..=99)),
            ("bytes=-200", 100, Part::Range(0..=99)),
            ("bytes=0-0", 1, Part::Range(0..=0)),
            ("bytes=100-", 100, Part::Unsatisfiable),
            ("bytes=100-200", 100, Part::Unsatisfiable),
            ("bytes=-0", 100, Part::Unsatisfiable),
            ("bytes=0-", 0, Part::Unsatisfiable),
            ("bytes=-5", 0, Part::Unsatisfiable),
            ("bytes=0-1,3-4", 100, Part::Whole),
            ("lines=0-1", 100, Part::Whole),
            ("bytes=a-b", 100, Part::Whole),
            ("bytes=", 100, Part::Whole),
            ("0-1", 100, Part::Whole),
        ] {
            assert_eq!(part(&[(RANGE, range)], size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn conditions_go_before_ranges() {
        let range = (RANGE, "bytes=0-9");
        for (condition, expected) in [
            ((IF_NONE_MATCH, "\"sha256:a\""), Part::NotModified),
            ((IF_NONE_MATCH, "\"x\", W/\"sha256:a\""), Part::NotModified),
            ((IF_NONE_MATCH, "*"), Part::NotModified),
            ((IF_NONE_MATCH, "\"x\""), Part::Range(0..=9)),
            ((IF_MATCH, "\"x\""), Part::Failed),
            ((IF_MATCH, "W/\"sha256:a\""), Part::Failed),
            ((IF_MATCH, "\"sha256:a\""), Part::Range(0..=9)),
            ((IF_RANGE, "\"sha256:a\""), Part::Range(0..=9)),
            ((IF_RANGE, "W/\"sha256:a\""), Part::Whole),
            ((IF_RANGE, "\"x\""), Part::Whole),
            ((IF_RANGE, "Wed, 21 Oct 2026 07:28:00 GMT"), Part::Whole),
        ] {
            assert_eq!(part(&[condition.clone(), range.clone()], 100), expected, "{condition:?}");
        }
    }
}
