//! How single values are written, in a file or in the environment.

use std::fmt::Display;

use bytesize::ByteSize;
use hoist_core::{Error, ErrorKind, Platform, Result};
use hoist_store::Durability;
use serde::{Deserialize, Deserializer, de};

use super::CachePolicy;

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

pub(super) fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Read<Option<CachePolicy>, D::Error> {
    read(deserializer, str::parse).map(Some)
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

pub(super) fn unreadable(text: &str, wanted: impl Display, example: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{text:?} is not {wanted}"))
        .with_help(format!("write it as {example}"))
}
