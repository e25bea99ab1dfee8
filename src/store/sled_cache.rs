//! Documents that were read or written lately, by name, and names that are known to point at none.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Document, DocumentState, Mapping, Provenance, Validators};
use crate::cache::Cache;
use crate::document::DocumentKey;
use crate::weight;

/// A bounded cache that is never older than the trees: it has nothing on what is just being written, and a late
/// read can't fill it with what a write has replaced meanwhile.
#[derive(Debug)]
pub(super) struct MappingCache {
    entries: Cache<DocumentKey, Option<Arc<Mapping>>>,
    writes: Mutex<Writes>,
}

#[derive(Debug, Default)]
struct Writes {
    /// How many groups went by.
    generation: u64,
    /// What the group under way changes: readers of the trees may see it from any moment on.
    under_way: HashSet<DocumentKey>,
}

impl MappingCache {
    pub(super) fn new() -> Self {
        Self { entries: Cache::new(CACHE_BYTES, weight), writes: Mutex::default() }
    }

    pub(super) fn get(&self, key: &DocumentKey) -> Option<Option<Arc<Mapping>>> {
        self.entries.get(key)
    }

    /// To be taken before the store is read, and handed to [`Self::fill`] afterwards.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn fill(&self, generation: u64, key: &DocumentKey, mapping: Option<&Arc<Mapping>>) {
        let writes = self.lock();
        if writes.generation == generation && !writes.under_way.contains(key) {
            self.entries.insert(key.clone(), mapping.cloned());
        }
    }

    /// These are about to be written to the trees.
    pub(super) fn writing<'a>(&self, keys: impl Iterator<Item = &'a DocumentKey>) {
        let mut writes = self.lock();
        for key in keys {
            writes.under_way.insert(key.clone());
            self.entries.remove_if(key, |_| true);
        }
    }

    /// Takes over what a durable group of writes changed, in order.
    pub(super) fn written(&self, changes: Vec<(DocumentKey, Option<Mapping>)>) {
        let mut writes = self.lock();
        writes.generation += 1;
        writes.under_way.clear();
        for (key, mapping) in changes {
            self.entries.insert(key, mapping.map(Arc::new));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(key: &DocumentKey, mapping: &Option<Arc<Mapping>>) -> u32 {
    let mapping = mapping.as_deref().map_or(0, |mapping| {
        let Mapping { key, document } = mapping;
        let Document { names, state, title, content_type, sha256, backend, tenant, .. } = document;
        let Document { provenance, validators, .. } = document;
        let Provenance { uploader, route, attributes } = provenance;
        let state = match state {
            DocumentState::Pending { previous, .. } => previous.as_ref().map_or(0, String::len),
            DocumentState::Ready { document_id } | DocumentState::Lost { document_id } => {
                document_id.len()
            }
            DocumentState::Refused { detail } => detail.len(),
            DocumentState::Unconfirmed { .. } => 0,
        };
        let Validators { etag, last_modified, .. } = validators;
        let texts = [title.as_ref(), route.as_ref(), Some(content_type), Some(sha256)];
        let texts = texts.into_iter().chain([etag.as_ref(), last_modified.as_ref()]);
        let texts = texts.chain([backend.as_ref(), tenant.as_ref()]);
        let texts: usize = texts.flatten().map(String::len).sum();
        let uploader = uploader.as_ref().map_or(0, |by| by.identity.len() + by.user.len());
        let attributes = attributes.iter().map(|(name, value)| weight::member(name, value));
        let names = names.iter().map(|name| size_of::<DocumentKey>() + weight_of(name));
        let fixed = size_of::<Mapping>() + weight_of(key) + names.sum::<usize>();
        fixed + state + texts + uploader + attributes.sum::<usize>()
    });
    weight::of([weight::ENTRY, weight_of(key), mapping])
}

/// In bytes.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

fn weight_of(key: &DocumentKey) -> usize {
    size_of::<DocumentKey>() + key.kind().len() + key.host().map_or(0, str::len) + key.id().len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::DocId;

    #[test]
    fn every_part_of_a_mapping_weighs() {
        let key = DocumentKey::new("files", "1").unwrap();
        let plain = json!({"id": DocId::random(), "names": [key], "state": {"state": "ready", "document_id": ""}, "revision": 1,
            "title": "", "content_type": "", "size": 1, "sha256": "", "created_at": 1, "updated_at": 1});
        let weigh = |document: serde_json::Value| {
            let document = serde_json::from_value(document).unwrap();
            super::weight(&key, &Some(Arc::new(Mapping { key: key.clone(), document })))
        };
        let weight = |part: &str, value: serde_json::Value| {
            let mut mapping = plain.clone();
            *mapping.pointer_mut(part).unwrap() = value;
            weigh(mapping)
        };
        let nothing = weight("/title", json!(""));
        // One more for the id that it stands in for.
        let text = "x".repeat(1001);
        for part in ["/title", "/content_type", "/sha256", "/state/document_id", "/names/0/id"] {
            assert!(weight(part, json!(text)) >= nothing + 1000, "{part}");
        }
        let provenance = |provenance| {
            let mut mapping = plain.clone();
            mapping["provenance"] = provenance;
            weigh(mapping)
        };
        for provenance_of in [
            json!({"route": text}),
            json!({"uploader": {"identity": "app", "user": text}}),
            json!({"attributes": {"team": {"of": [text]}}}),
        ] {
            assert!(provenance(provenance_of.clone()) >= nothing + 1000, "{provenance_of}");
        }
    }
}
