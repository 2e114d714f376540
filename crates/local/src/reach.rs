//! What a set of descriptors leads to: the blobs that must stay as long as an index has them.

use std::collections::BTreeSet;

use hoist_core::{Descriptor, Digest, ErrorKind, Result};
use hoist_store::Layout;
use serde_json::{Map, Value};

/// The blobs that can be reached from somewhere.
///
/// Whatever a document names by digest and size counts, in whatever field: a field that this code does not
/// know, such as a `subject`, must not cost a blob its life.
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    layout: &'a Layout,
    pub(crate) blobs: BTreeSet<Digest>,
    /// Documents that are still to be looked into.
    pending: Vec<Value>,
    /// Whether there is more than could be found, for a document could not be read.
    pub(crate) has_gaps: bool,
}

impl<'a> Reach<'a> {
    /// All that these descriptors lead to.
    pub(crate) fn of(layout: &'a Layout, descriptors: &[Value]) -> Self {
        let pending = descriptors.to_vec();
        let mut reach = Self { layout, blobs: BTreeSet::new(), pending, has_gaps: false };
        // No recursion: a chain of indexes may be as long as whoever made it liked.
        while let Some(document) = reach.pending.pop() {
            reach.visit(&document);
        }
        reach
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
        // One of an algorithm that is not read may lead to blobs of one that is.
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

    /// A document, if there is one: what is not here leads nowhere, as a platform that was not copied.
    fn read(&self, digest: Digest, size: u64, media_type: &str) -> Result<Option<Value>> {
        let media_type = media_type.to_owned();
        let blob = Descriptor { digest, size, ..Descriptor::of(&media_type, b"") };
        match self.layout.read(&blob) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
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
