//! Which DWS documents belong to something that Transom knows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::core::Core;
use crate::store::{StoreError, Task};

/// Ids that were handed out or removed lately, and what was read of the store not long ago. A look at DWS asks here
/// whether a document that is listed is free to be taken for a lost upload.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lately: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    /// How many were noted so far.
    noted: u64,
    read: Option<Read>,
}

/// What the store knew.
#[derive(Clone, Debug)]
struct Read {
    at: u64,
    since: u64,
    noted: u64,
    ids: Arc<HashSet<String>>,
}

impl Belongings {
    /// This id is given to a document from now on, or was removed.
    pub(super) fn note(&self, document_id: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.noted += 1;
        let id: Arc<str> = document_id.into();
        if inner.lately.insert(Arc::clone(&id)) {
            inner.order.push_back(id);
        }
        if inner.order.len() > LATELY
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.lately.remove(&oldest);
        }
    }

    pub(super) fn has_noted(&self, document_id: &str) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lately.contains(document_id)
    }

    /// A reading that is fresh, and of which nothing noted since has been forgotten.
    fn fresh(&self, since: u64, now: u64) -> Option<Arc<HashSet<String>>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let read = inner.read.as_ref()?;
        let is_fresh = now.saturating_sub(read.at) < FRESH && read.since <= since;
        (is_fresh && inner.noted - read.noted < LATELY as u64).then(|| Arc::clone(&read.ids))
    }

    fn noted(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).noted
    }

    fn keep(&self, read: Read) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).read = Some(read);
    }
}

/// All ids of DWS that documents changed since this time, and jobs, refer to. Goes through the whole store, unless that
/// was done a moment ago.
pub(super) async fn known_since(
    core: &Core,
    since: u64,
) -> Result<Arc<HashSet<String>>, StoreError> {
    let (now, since) = (core.clock.now(), since.saturating_sub(CHANGED_BEFORE));
    if let Some(ids) = core.belongings.fresh(since, now) {
        return Ok(ids);
    }
    let noted = core.belongings.noted();
    let mut ids = HashSet::new();
    let mut after = None;
    loop {
        let page = core.store.jobs(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for job in page {
            if let Task::Remove { document_id, .. } = job.task {
                ids.insert(document_id);
            }
            ids.extend(job.sent.and_then(|sent| sent.document_id));
        }
    }
    let mut after = None;
    loop {
        let page = core.store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        let recent = page.iter().filter(|mapping| mapping.updated_at >= since);
        ids.extend(recent.filter_map(|mapping| mapping.held_document()).map(str::to_owned));
    }
    let ids = Arc::new(ids);
    core.belongings.keep(Read { at: now, since, noted, ids: Arc::clone(&ids) });
    Ok(ids)
}

/// Keeps a look for a lost upload apart from uploads of the same bytes that are under way: DWS may list one before we
/// have its id.
#[derive(Debug, Default)]
pub(super) struct SameBytes {
    locks: Mutex<HashMap<String, Weak<RwLock<()>>>>,
}

impl SameBytes {
    /// For an upload of these bytes.
    pub(super) async fn sending(&self, sha256: &str) -> OwnedRwLockReadGuard<()> {
        self.lock(sha256).read_owned().await
    }

    /// For a look for these bytes.
    pub(super) async fn looking(&self, sha256: &str) -> OwnedRwLockWriteGuard<()> {
        self.lock(sha256).write_owned().await
    }

    fn lock(&self, sha256: &str) -> Arc<RwLock<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(sha256).and_then(Weak::upgrade) {
            return lock;
        }
        // As many as attempts are under way, and a few that have ended since.
        if locks.len() >= MANY {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::default();
        locks.insert(sha256.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

const PAGE: usize = 500;
const LATELY: usize = 4096;
/// Milliseconds for which the store is not read again.
const FRESH: u64 = 60_000;
/// Milliseconds that the clock may have been off when a document was written down.
const CHANGED_BEFORE: u64 = 3_600_000;
const MANY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_the_oldest_forgotten() {
        let belongings = Belongings::default();
        for n in 0..=LATELY {
            belongings.note(&n.to_string());
            belongings.note(&n.to_string());
        }
        assert!(!belongings.has_noted("0"));
        assert!(belongings.has_noted("1") && belongings.has_noted(&LATELY.to_string()));
    }

    #[tokio::test]
    async fn a_look_waits_for_uploads_of_the_same_bytes_and_for_no_others() {
        let same = SameBytes::default();
        let (one, _two) = (same.sending("a").await, same.sending("b").await);
        let _three = same.sending("a").await;
        drop(one);
        let looking = tokio::time::timeout(std::time::Duration::from_millis(10), same.looking("a"));
        assert!(looking.await.is_err());
        drop(_three);
        let _looking = same.looking("a").await;
    }
}
