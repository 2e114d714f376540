//! Removing images: `hoist remove`.

use std::process::ExitCode;

use hoist::Result;
use serde_json::json;

use super::Context;
use super::each::each;
use super::images::not_here;
use crate::output;

/// Removes images by name, and prints the removed names.
pub(super) async fn remove(context: &Context<'_>, references: &[String]) -> Result<ExitCode> {
    let Context { hoist, json, .. } = *context;
    let remove = async |reference: &str| match hoist.remove_all(reference).await? {
        removed if removed.is_empty() => Err(not_here(reference)),
        removed => Ok(removed),
    };
    let print = |removed: Vec<String>| {
        removed.into_iter().try_for_each(|name| {
            let answer = json!({"reference": name, "removed": true});
            output::result(json, &answer, || name.clone().into_bytes())
        })
    };
    each(references, 1, remove, print).await
}
