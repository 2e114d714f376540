//! JSON as Go reads it, because programs in Go write most documents, and read them again: absent, `null` and `""` are
//! one thing, names of fields count in any case, and text that is not Unicode is replaced.
//!
//! Unlike Go, it refuses a field that is there twice: other readers may take the other one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};

/// The text of a JSON document. Bytes that are not UTF-8, and escapes that are half of a surrogate pair, become
/// U+FFFD.
pub fn json_text(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    match without_half_pairs(&text) {
        Some(whole) => Cow::Owned(whole),
        None => text,
    }
}

/// The text with U+FFFD in place of halves of surrogate pairs. `None`: there are none.
fn without_half_pairs(text: &str) -> Option<String> {
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        at = match escaped(text, start) {
            Some(0xD800..=0xDBFF) if matches!(escaped(text, start + 6), Some(0xDC00..=0xDFFF)) => start + 12,
            Some(0xD800..=0xDFFF) => {
                whole.push_str(&text[copied..start]);
                whole.push_str("\\ufffd");
                copied = start + 6;
                copied
            }
            Some(_) => start + 6,
            // The character behind may be a backslash, or of several bytes.
            None => start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    (copied > 0).then(|| whole + &text[copied..])
}

/// The UTF-16 code unit of the escape `\uXXXX` at this place.
fn escaped(text: &str, at: usize) -> Option<u16> {
    let digits = text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?, 16).ok()
}

/// The fields of a JSON object. Each is read on its own, when it is needed.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object. An array is none.
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The value of a field. `None`: it is absent or `null`.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if it is there twice or is of another type.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>> {
        let mut values = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.get());
        if values.next().is_some() {
            return Err(malformed(format!("`{name}` is there twice")));
        }
        let Some(value) = value.filter(|value| *value != "null") else { return Ok(None) };
        serde_json::from_str(value)
            .map(Some)
            .map_err(|cause| malformed(format!("`{name}` cannot be read")).with_source(cause))
    }

    /// A text. `None`: it is absent, `null` or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get::<String>(name)?.filter(|text| !text.is_empty()))
    }

    /// A list of texts, without those that are `null` or empty.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>> {
        let texts = self.get::<Vec<Option<String>>>(name)?.unwrap_or_default();
        Ok(texts.into_iter().flatten().filter(|text| !text.is_empty()).collect())
    }

    /// An object. `None`: it is absent, `null` or empty.
    pub(super) fn object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        Ok(self.get::<Fields<'a>>(name)?.filter(|fields| !fields.0.is_empty()))
    }

    /// A list of values that are not read yet. `None`: it is absent or `null`.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>> {
        self.get(name)
    }

    /// Notes by name. Those that are no texts are left out: nothing depends on them.
    pub(super) fn notes(&self, name: &str) -> BTreeMap<String, String> {
        let notes = self.object(name).ok().flatten().map(|notes| notes.0).unwrap_or_default();
        let read = |(name, value): (String, &RawValue)| Some((name, serde_json::from_str(value.get()).ok()?));
        notes.into_iter().filter_map(read).collect()
    }
}

impl<'a> Deserialize<'a> for Fields<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;

        impl<'a> Visitor<'a> for Object {
            type Value = Fields<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> std::result::Result<Fields<'a>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                    if fields.len() > MAX_FIELDS {
                        return Err(A::Error::custom("it has too many fields"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Far more than any document has: a search for a field looks at all of them.
const MAX_FIELDS: usize = 10_000;

pub(super) fn malformed(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_unicode_is_replaced_as_go_does() {
        for (bytes, text) in [
            (&br#"{"a":"plain \\ \" \u00fc"}"#[..], r#"{"a":"plain \\ \" \u00fc"}"#),
            (br#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (br#""\ud83d""#, r#""\ufffd""#),
            (br#""\uDE00\uD83D x""#, r#""\ufffd\ufffd x""#),
            (br#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (br#""\\ud83d""#, r#""\\ud83d""#),
            (br#""\ud83"#, r#""\ud83"#),
            (b"\"gr\xf6\xdfe\"", "\"gr\u{fffd}\u{fffd}e\""),
            ("\"\\\u{fc}\\".as_bytes(), "\"\\\u{fc}\\"),
        ] {
            assert_eq!(json_text(bytes), text);
        }
    }

    #[test]
    fn absent_null_and_empty_are_one_thing() {
        for text in ["{}", r#"{"a":null}"#, r#"{"a":""}"#] {
            assert_eq!(Fields::read(text).unwrap().text("a").unwrap(), None, "{text}");
        }
        for text in ["{}", r#"{"a":null}"#, r#"{"a":{}}"#] {
            assert!(Fields::read(text).unwrap().object("a").unwrap().is_none(), "{text}");
        }
        for text in ["{}", r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":[null,""]}"#] {
            assert!(Fields::read(text).unwrap().texts("a").unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn a_field_counts_in_any_case_but_only_once() {
        assert_eq!(Fields::read(r#"{"MediaTYPE":"x"}"#).unwrap().text("mediaType").unwrap().unwrap(), "x");
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"A":1}"#, r#"{"a":null,"a":1}"#, r#"{"a":[]}"#] {
            let error = Fields::read(text).unwrap().get::<u64>("a").unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Malformed);
            assert!(error.to_string().starts_with("`a` "), "{error}");
        }
    }
}
