//! Writing requests on their way through, by the names that they use.
//!
//! Not by document: a write counts from before the store has said which document its name points at, also while the
//! store says nothing, and where there is no document yet, as of two uploads to one new address. Of a document with several
//! names each of them is asked for; its durable mark is on the document itself, and survives a rename.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::document::DocumentKey;

/// What the store can't tell: which writes are under way, and which of their marks are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Writes {
    tables: Mutex<Tables>,
    /// Some document is in doubt that the store knows nothing of. Most requests look no further.
    unmarked: AtomicBool,
}

#[derive(Debug, Default)]
struct Tables {
    under_way: HashMap<DocumentKey, UnderWay>,
    unmarked: HashSet<DocumentKey>,
    /// Marks that are about to be taken back.
    void: HashSet<u64>,
    /// So many more than are kept: every document is in doubt.
    beyond: usize,
}

#[derive(Debug, Default)]
struct UnderWay {
    count: usize,
    /// Two of them were under way at the same time.
    overlapped: bool,
}

impl Writes {
    pub(super) fn begin(&self, key: &DocumentKey) {
        let mut tables = self.tables();
        let entry = tables.under_way.entry(key.clone()).or_default();
        entry.count += 1;
        entry.overlapped |= entry.count > 1;
    }

    pub(super) fn end(&self, key: &DocumentKey) {
        let mut tables = self.tables();
        if let Some(entry) = tables.under_way.get_mut(key) {
            entry.count -= 1;
            if entry.count == 0 {
                tables.under_way.remove(key);
            }
        }
    }

    /// Whether another write of this document was under way beside one that is. `own`: whether the one that
    /// asks is counted.
    pub(super) fn overlap(&self, key: &DocumentKey, own: bool) -> bool {
        self.tables().under_way.get(key).is_some_and(|entry| entry.overlapped || !own)
    }

    pub(super) fn are_under_way(&self, key: &DocumentKey) -> bool {
        self.tables().under_way.contains_key(key)
    }

    /// The app refused the write of this mark: it says nothing any more, also before the store has been told.
    pub(super) fn is_void(&self, mark: u64, void: bool) {
        let mut tables = self.tables();
        if void {
            tables.void.insert(mark);
        } else {
            tables.void.remove(&mark);
        }
    }

    pub(super) fn counts(&self, mark: u64) -> bool {
        !self.tables().void.contains(&mark)
    }

    /// The mark of a write has not reached the store in time.
    pub(super) fn is_unmarked(&self, key: &DocumentKey) {
        let mut tables = self.tables();
        if tables.unmarked.len() < MAX_UNMARKED {
            tables.unmarked.insert(key.clone());
        } else {
            tables.beyond += 1;
        }
        self.unmarked.store(true, Ordering::Release);
    }

    /// The store knows now what there is to know.
    pub(super) fn is_marked(&self, key: &DocumentKey) {
        if !self.unmarked.load(Ordering::Acquire) {
            return;
        }
        let mut tables = self.tables();
        if !tables.unmarked.remove(key) {
            tables.beyond = tables.beyond.saturating_sub(1);
        }
        if tables.unmarked.is_empty() && tables.beyond == 0 {
            self.unmarked.store(false, Ordering::Release);
        }
    }

    /// Whether the document is in doubt although the store may not know it.
    pub(super) fn doubt(&self, key: &DocumentKey) -> bool {
        self.unmarked.load(Ordering::Acquire) && {
            let tables = self.tables();
            tables.beyond > 0 || tables.unmarked.contains(key)
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_UNMARKED: usize = 10_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(id: &str) -> DocumentKey {
        DocumentKey::new("files", id).unwrap()
    }

    #[test]
    fn writes_of_one_document_at_the_same_time_overlap_until_the_last_has_ended() {
        let (writes, one, other) = (Writes::default(), key("1"), key("2"));
        writes.begin(&one);
        assert!(!writes.overlap(&one, true) && writes.overlap(&one, false));
        writes.begin(&one);
        writes.begin(&other);
        writes.end(&one);
        assert!(writes.overlap(&one, true) && !writes.overlap(&other, true));
        writes.end(&one);
        assert!(!writes.are_under_way(&one));
        writes.begin(&one);
        assert!(!writes.overlap(&one, true));
    }

    #[test]
    fn what_the_store_could_not_take_is_in_doubt() {
        let (writes, one) = (Writes::default(), key("1"));
        writes.is_unmarked(&one);
        assert!(writes.doubt(&one) && !writes.doubt(&key("2")));
        writes.is_marked(&one);
        assert!(!writes.doubt(&one));
        for id in 0..=MAX_UNMARKED {
            writes.is_unmarked(&key(&id.to_string()));
        }
        assert!(writes.doubt(&key("any other")));
    }
}
