//! JSON as Go reads it, since docker and podman wrote it with Go's `encoding/json`, and read it so again.
//!
//! A key is found in any case. Of a key that is there twice, the last value counts, but two objects are one. `null` is
//! nothing. A value of another type spoils only what needs it.

use std::fmt;

use hoist_core::Secret;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value. Texts are overwritten when it is dropped, since any could be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::credentials) enum Json {
    Null,
    Text(Secret),
    Object(Vec<(String, Json)>),
    /// A list, a number, or true or false: nothing that such a file has.
    Other,
}

/// A value has another type than the file's format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::credentials) struct OtherType;

impl Json {
    /// Reads a document. What follows its end is ignored, and a blank one is an empty object, as for docker.
    pub(in crate::credentials) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let text = without_mark(text);
        let mut values = serde_json::Deserializer::from_slice(text).into_iter();
        values.next().unwrap_or(Ok(Self::Null))
    }

    /// The members of an object; none of `null`.
    pub(in crate::credentials) fn members(self) -> Result<Vec<(String, Self)>, OtherType> {
        match self {
            Self::Object(members) => Ok(members),
            Self::Null => Ok(Vec::new()),
            _ => Err(OtherType),
        }
    }

    /// A text; empty for `null`.
    pub(in crate::credentials) fn text(self) -> Result<Secret, OtherType> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Null => Ok(Secret::default()),
            _ => Err(OtherType),
        }
    }

    /// Takes a member out of an object.
    pub(in crate::credentials) fn take(members: &mut Vec<(String, Self)>, key: &str) -> Self {
        let (values, others) = std::mem::take(members).into_iter().partition(|(name, _)| is_key(name, key));
        *members = others;
        let values: Vec<(String, Self)> = values;
        values.into_iter().map(|(_, value)| value).fold(Self::Null, Self::then)
    }

    /// This value, and a later one of the same key.
    fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Object(mut members), Self::Object(more)) => {
                members.extend(more);
                Self::Object(members)
            }
            (before, Self::Null) => before,
            (_, later) => later,
        }
    }
}

/// Whether Go takes this name for that key.
pub(in crate::credentials) fn is_key(name: &str, key: &str) -> bool {
    name.eq_ignore_ascii_case(key)
}

/// The text without the mark that Windows programs put before UTF-8.
pub(in crate::credentials) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        while items.next_element::<Json>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
