//! Reads `[remote]`: its own keys, and the options of the backend beside them.

use std::fmt;

use hoist_core::RemoteOptions;
use serde::Deserialize;
use serde::de::value::{Error as KeyError, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess};

use super::remote::{RemoteClient, RemoteConfig};
use super::values;

/// The keys of `[remote]` that are not options of the backend.
const OWN_KEYS: [&str; 3] = ["enabled", "client", "keychain"];

impl<'de> Deserialize<'de> for RemoteConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> de::Visitor<'de> for TableVisitor {
    type Value = RemoteConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of options for registries")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RemoteConfig, A::Error> {
        let mut config = RemoteConfig::default();
        let options = MapAccessDeserializer::new(OptionKeys { table, config: &mut config });
        let options = RemoteOptions::deserialize(options)?;
        Ok(RemoteConfig { options, ..config })
    }
}

/// The table without its [own keys](OWN_KEYS), which go to `config`. Each value is read in its place, so that an error
/// names the line. `#[serde(flatten)]` would lose that, and accept unknown keys.
struct OptionKeys<'a, A> {
    table: A,
    config: &'a mut RemoteConfig,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OptionKeys<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.table.next_key_seed(KeySeed(&mut seed))? {
                Some(Key::Option(key)) => return Ok(Some(key)),
                None => return Ok(None),
                Some(Key::Own("enabled")) => self.config.enabled = Some(self.table.next_value()?),
                Some(Key::Own("keychain")) => self.config.keychain = Some(self.table.next_value()?),
                Some(Key::Own(_)) => self.config.client = Some(self.table.next_value()?),
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.table.next_value_seed(seed)
    }
}

enum Key<T> {
    Own(&'static str),
    Option(T),
}

/// Reads a key: an own one, or else one of the options, with their seed.
struct KeySeed<'a, K>(&'a mut Option<K>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, K> {
    type Value = Key<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(deserializer)?;
        if let Some(own) = OWN_KEYS.into_iter().find(|own| *own == key) {
            return Ok(Key::Own(own));
        }
        let seed = self.0.take().expect("one key is asked for");
        let read = seed.deserialize(IntoDeserializer::<KeyError>::into_deserializer(key));
        read.map(Key::Option).map_err(|error| de::Error::custom(with_own_keys(&error)))
    }
}

/// The error for an unknown key, with all keys of the table.
fn with_own_keys(error: &KeyError) -> String {
    let own = OWN_KEYS.map(|key| format!("`{key}`, ")).concat();
    error.to_string().replacen("expected one of ", &format!("expected one of {own}"), 1)
}

impl<'de> Deserialize<'de> for RemoteClient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::read(deserializer, str::parse)
    }
}
