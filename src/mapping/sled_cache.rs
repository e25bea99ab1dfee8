//! Mappings that were read or written lately, and keys that are known to have none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::Mapping;
use crate::document::DocumentKey;

/// A bounded cache that a late read can't fill with what a write has replaced meanwhile.
#[derive(Debug)]
pub(super) struct MappingCache {
    entries: Cache<DocumentKey, Option<Mapping>>,
    /// How many groups of writes went by.
    generation: Mutex<u64>,
}

impl MappingCache {
    pub(super) fn new() -> Self {
        let entries = Cache::builder().weigher(weight).max_capacity(CACHE_BYTES).build();
        Self { entries, generation: Mutex::new(0) }
    }

    pub(super) fn get(&self, key: &DocumentKey) -> Option<Option<Mapping>> {
        self.entries.get(key)
    }

    /// To be taken before the store is read, and handed to [`Self::fill`] afterwards.
    pub(super) fn generation(&self) -> u64 {
        *self.lock()
    }

    pub(super) fn fill(&self, generation: u64, key: &DocumentKey, mapping: Option<&Mapping>) {
        let current = self.lock();
        if *current == generation {
            self.entries.insert(key.clone(), mapping.cloned());
        }
    }

    /// Takes over what a durable group of writes changed, in order.
    pub(super) fn written(&self, changes: Vec<(DocumentKey, Option<Mapping>)>) {
        let mut current = self.lock();
        *current += 1;
        for (key, mapping) in changes {
            self.entries.insert(key, mapping);
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About what an entry takes, in bytes.
fn weight(key: &DocumentKey, mapping: &Option<Mapping>) -> u32 {
    let texts = mapping.as_ref().map_or(0, |mapping| {
        mapping.title.as_ref().map_or(0, String::len) + mapping.content_type.len() + key.id().len()
    });
    let fixed = size_of::<Mapping>() + 256;
    u32::try_from(fixed + key.kind().len() + key.id().len() + texts).unwrap_or(u32::MAX)
}

const CACHE_BYTES: u64 = 16 * 1024 * 1024;
