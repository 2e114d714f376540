//! A text that is never shown, and that is overwritten when it is dropped.

use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

/// A password or a token. `Debug` does not show it, and neither does an error of reading it. The HTTP client's copies of
/// it cannot be overwritten, but do not live long.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What stands where a secret should.
#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Text(String),
    Other(IgnoredAny),
}

impl<'de> Deserialize<'de> for Secret {
    /// Reads a string. The usual error would repeat a value of another type, such as a number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Found::deserialize(deserializer)? {
            Found::Text(text) => Ok(text.into()),
            Found::Other(_) => Err(de::Error::custom("a secret must be a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret: Secret = serde_json::from_str(r#""canary""#).unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("canary", "***"));
        for other in ["4711", "[4711]", r#"{"canary": 4711}"#, "null"] {
            let error = serde_json::from_str::<Secret>(other).unwrap_err().to_string();
            assert!(!error.contains("canary") && !error.contains("4711"), "{error}");
        }
    }
}
