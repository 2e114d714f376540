//! Durations as a configuration has them: `10s`, `1h 30m` or `500ms`, or a bare number of seconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, de};

use crate::{Error, ErrorKind, Result};

/// Parses `10s`, `1h 30m` or `500ms`, as the crate `humantime` does, or a bare number of seconds.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig).
pub fn parse(text: &str) -> Result<Duration> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|_| {
        Error::new(ErrorKind::InvalidConfig, format!("{text:?} is not a duration"))
            .with_help("write it as 30s, 5m, 1h or 7d")
    })
}

/// Reads an optional duration, from a text or from a number of seconds: for serde's `deserialize_with`.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(DurationVisitor).map(Some)
}

struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"10s\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Duration, E> {
        parse(text).map_err(|error| E::custom(error.report()))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> std::result::Result<Duration, E> {
        let seconds = u64::try_from(seconds);
        seconds.map(Duration::from_secs).map_err(|_| E::custom("a duration cannot be negative"))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> std::result::Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }
}
