//! How single values are written, in a file or in the environment.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use hoist_core::{Error, ErrorKind, Platform, Result};
use hoist_store::Durability;
use serde::{Deserialize, Deserializer, de};

use super::{CachePolicy, RemoteClient};

type Read<T, E> = std::result::Result<T, E>;

pub(super) fn platform<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<Platform>, D::Error> {
    read(deserializer, str::parse).map(Some)
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<u64>, D::Error> {
    read(deserializer, parse_size).map(Some)
}

pub(super) fn durability<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Durability, D::Error> {
    read(deserializer, parse_durability)
}

pub(super) fn client<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<RemoteClient>, D::Error> {
    read(deserializer, str::parse).map(Some)
}

pub(super) fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<CachePolicy>, D::Error> {
    read(deserializer, str::parse).map(Some)
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<Duration>, D::Error> {
    deserializer.deserialize_any(DurationVisitor).map(Some)
}

/// A path, or a list of them.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Read<Option<Vec<PathBuf>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "this has to be a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(Some(match Paths::deserialize(deserializer)? {
        Paths::One(path) => vec![path],
        Paths::More(paths) => paths,
    }))
}

/// A text that stands for something.
pub(super) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T>,
) -> Read<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|error| de::Error::custom(error.report()))
}

pub(super) fn parse_size(text: &str) -> Result<u64> {
    let size = text.parse::<ByteSize>().map_err(|_| unreadable(text, "a size", "20GiB or 500MB"))?;
    Ok(size.as_u64())
}

pub(super) fn parse_durability(text: &str) -> Result<Durability> {
    match text {
        "synced" => Ok(Durability::Synced),
        "none" => Ok(Durability::None),
        _ => Err(unreadable(text, "a durability", "\"synced\" or \"none\"")),
    }
}

/// Parses `10s`, `1h 30m` or `500ms`, as the crate `humantime` does, or a bare number of seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|_| unreadable(text, "a duration", "30s, 5m, 1h or 7d"))
}

/// Reads a duration from a text, or from a number of seconds.
struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"10s\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Read<Duration, E> {
        parse_duration(text).map_err(|error| E::custom(error.report()))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Read<Duration, E> {
        let seconds = u64::try_from(seconds);
        seconds.map(Duration::from_secs).map_err(|_| E::custom("a duration cannot be negative"))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Read<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }
}

pub(super) fn unreadable(text: &str, wanted: impl Display, example: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{text:?} is not {wanted}"))
        .with_help(format!("write it as {example}"))
}
