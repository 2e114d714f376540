//! Parts of a blob: `Range` asks for one, and `Content-Range` says which one an answer is
//! ([RFC 9110, section 14](https://www.rfc-editor.org/rfc/rfc9110#section-14)).

use std::ops::Range;

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, HeaderValue};

/// The first byte of a part, by its `Content-Range`.
pub(crate) fn first_byte(answer: &Response) -> Option<u64> {
    let stated = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    parse(stated).map(|(first, _)| first)
}

/// The value of `Range` for this part. It is a closed range: some registries answer an open one with 416.
pub(crate) fn header(range: &Range<u64>) -> HeaderValue {
    let text = format!("bytes={}-{}", range.start, range.end - 1);
    HeaderValue::from_str(&text).expect("digits, `=` and `-` may stand in a header")
}

/// The first and the last byte of the part. `None`: the unit is not bytes, or the range makes no sense.
fn parse(value: &str) -> Option<(u64, u64)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let fits = match total.trim() {
        "*" => true,
        total => last < number(total)?,
    };
    (unit.eq_ignore_ascii_case("bytes") && first <= last && fits).then_some((first, last))
}

/// Digits only: `parse` would accept a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_read_or_refused() {
        for (value, range) in [
            ("bytes 0-9/10", Some((0, 9))),
            ("Bytes 5-5/*", Some((5, 5))),
            (" bytes  5-6/7 ", Some((5, 6))),
            ("bytes 0-10/10", None),
            ("bytes 9-0/10", None),
            ("bytes */10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-18446744073709551616/*", None),
            ("bytes=0-9/10", None),
            ("items 0-9/10", None),
            ("", None),
        ] {
            assert_eq!(parse(value), range, "{value:?}");
        }
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases())]

        #[test]
        fn fuzz_a_content_range_makes_sense_or_is_refused(value in "(bytes|\\PC{0,5}) ?[0-9+ -]{0,24}-?[0-9]{0,24}/?(\\*|[0-9]{0,22})|\\PC*") {
            if let Some((first, last)) = parse(&value) {
                prop_assert!(first <= last);
            }
        }
    }
}
