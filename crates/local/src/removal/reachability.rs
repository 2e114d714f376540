//! Reachability: which blobs a set of descriptors leads to. They must stay as long as an index lists the descriptors.

use std::collections::BTreeSet;

use hoist_core::{Descriptor, Digest, ErrorKind, Result, json_text};
use hoist_store::Layout;
use serde_json::{Map, Value};

/// The blobs that can be reached from a set of descriptors.
///
/// Every pair of a digest and a size in a document counts, in any field: an unknown field, such as a `subject`, must
/// not get a blob deleted.
#[derive(Debug)]
pub(crate) struct Reachable<'a> {
    layout: &'a Layout,
    pub(crate) blobs: BTreeSet<Digest>,
    /// Documents that are not visited yet.
    pending: Vec<Value>,
    /// Whether blobs may be missing here, because a document could not be read.
    pub(crate) has_gaps: bool,
}

impl<'a> Reachable<'a> {
    /// Finds all blobs that these descriptors lead to.
    pub(crate) fn from(layout: &'a Layout, descriptors: &[Value]) -> Self {
        let pending = descriptors.to_vec();
        let mut found = Self { layout, blobs: BTreeSet::new(), pending, has_gaps: false };
        // No recursion: a chain of indexes may be of any length.
        while let Some(document) = found.pending.pop() {
            found.visit(&document);
        }
        found
    }

    /// Notes every descriptor in a piece of JSON.
    fn visit(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let (Some(Value::String(digest)), Some(size)) = (fields.get("digest"), size(fields)) {
                    self.note(digest, size, fields.get("mediaType").and_then(Value::as_str));
                }
                fields.values().for_each(|field| self.visit(field));
            }
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            _ => {}
        }
    }

    fn note(&mut self, digest: &str, size: u64, media_type: Option<&str>) {
        // A digest of an unsupported algorithm may lead to blobs of a supported one.
        let Ok(digest) = digest.parse::<Digest>() else { return self.has_gaps = true };
        if self.blobs.insert(digest.clone()) && media_type.is_none_or(is_document) {
            match self.read(digest, size, media_type.unwrap_or_default()) {
                Ok(document) => self.pending.extend(document),
                Err(error) => {
                    tracing::warn!(error = error.report(), "what a document leads to cannot be told");
                    self.has_gaps = true;
                }
            }
        }
    }

    /// Reads a document. `None`: it is not in the layout, as for a platform that was not copied, and leads nowhere.
    fn read(&self, digest: Digest, size: u64, media_type: &str) -> Result<Option<Value>> {
        let blob = Descriptor::new(media_type, digest, size);
        match self.layout.read(&blob) {
            Ok(bytes) => Ok(serde_json::from_str(&json_text(&bytes)).ok()),
            Err(missing) if *missing.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn size(descriptor: &Map<String, Value>) -> Option<u64> {
    descriptor.get("size").and_then(Value::as_u64)
}

/// Whether a document of this type can name others. Configurations and layers do not.
fn is_document(media_type: &str) -> bool {
    let is_config = media_type.contains(".config.") || media_type.contains("container.image");
    (media_type.contains("json") && !is_config) || media_type.is_empty()
}
