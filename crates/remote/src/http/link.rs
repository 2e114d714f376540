//! The next page of a list: the `Link` header with `rel="next"`
//! ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288), as the distribution spec uses it).

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// The address of the next page, as written. `None`: this is the last page.
pub(crate) fn next(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|(_, is_next)| *is_next).map(|(target, _)| target.to_owned())
}

/// Resolves that address at the registry itself, whichever host it names: behind a proxy, a registry may know itself by
/// another name, and credentials go only where they went before. `None`: it is no address of the web.
pub(crate) fn within(current: &Url, target: &str) -> Option<Url> {
    let named = current.join(target).ok().filter(|next| matches!(next.scheme(), "http" | "https"))?;
    let mut next = current.clone();
    next.set_path(named.path());
    next.set_query(named.query());
    next.set_fragment(None);
    Some(next)
}

/// The links in a header's value: each target, and whether it is the next page.
fn links(value: &str) -> Vec<(&str, bool)> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else { break };
        let end = after.find('<').unwrap_or(after.len());
        links.push((target, after[..end].split([';', ',']).any(is_next)));
        rest = &after[end..];
    }
    links
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut kinds = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && kinds.any(|kind| kind.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_of(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, value.parse().unwrap());
        next(&headers)
    }

    #[test]
    fn the_next_page_is_found_however_it_is_written() {
        for (value, target) in [
            (r#"</v2/x/tags/list?last=b&n=2>; rel="next""#, Some("/v2/x/tags/list?last=b&n=2")),
            ("<list?last=b>;rel=next", Some("list?last=b")),
            (r#"<https://r.example/p?a=1,2>; title="x"; rel="last next""#, Some("https://r.example/p?a=1,2")),
            (r#"</first>; rel="first", </next>; Rel="Next""#, Some("/next")),
            (r#"</first>; rel="first""#, None),
            ("</unfinished", None),
            ("nonsense", None),
        ] {
            assert_eq!(next_of(value).as_deref(), target, "{value}");
        }
    }

    #[test]
    fn a_next_page_is_at_the_registry_itself_whatever_host_it_names() {
        let current: Url = "https://r.example/v2/x/tags/list?n=2".parse().unwrap();
        for (target, next) in [
            ("/v2/x/tags/list?last=b", Some("https://r.example/v2/x/tags/list?last=b")),
            ("?last=b", Some("https://r.example/v2/x/tags/list?last=b")),
            ("https://r.example:443/y", Some("https://r.example/y")),
            ("http://r.example/y", Some("https://r.example/y")),
            ("//backend.example/y", Some("https://r.example/y")),
            ("http://me:secret@backend:5000/y?last=b#z", Some("https://r.example/y?last=b")),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(within(&current, target).map(String::from).as_deref(), next, "{target}");
        }
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases())]

        #[test]
        fn fuzz_a_link_leads_nowhere_else(value in "(<[^>]{0,20}>?;? ?(rel=)?\"?(next)?\"?,?){0,4}|\\PC*") {
            let current: Url = "https://r.example/v2/x/tags/list".parse().unwrap();
            for (target, _) in links(&value) {
                let at_home = within(&current, target).is_none_or(|next| next.origin() == current.origin());
                prop_assert!(at_home, "{target}");
            }
        }
    }
}
