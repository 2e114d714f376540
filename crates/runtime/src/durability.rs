//! How the store's durability is written in a configuration.

use hoist_store::Durability;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Synced,
    None,
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Durability, D::Error> {
    Ok(match Name::deserialize(deserializer)? {
        Name::Synced => Durability::Synced,
        Name::None => Durability::None,
    })
}
