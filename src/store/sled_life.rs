//! Whether the store is open, and why not: what its thread tells everyone else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::scrub::MAX_NAMED;
use super::sled_cache::MappingCache;
use super::sled_open::Counters;
use super::sled_trees::Trees;
use super::{JobId, StoreError, now_ms};

/// Shared between the store's thread, which opens and closes it, and its readers.
#[derive(Debug)]
pub(super) struct Life {
    /// `None` while it is not open.
    trees: ArcSwapOption<Trees>,
    /// Why it takes no writes; empty while it does.
    trouble: ArcSwap<String>,
    was_open: AtomicBool,
    failures: AtomicU64,
    /// The revision that opening found.
    opened_at: AtomicU64,
    /// The store is not the one that there was, and the spool has not been looked through since.
    suspect: AtomicBool,
    damage: Mutex<Vec<String>>,
    last_job: AtomicU64,
    /// Since when the thread is at one group of writes, in Unix milliseconds; 0: it is not.
    busy_since: AtomicU64,
    stage: Mutex<Stage>,
    stage_changed: Condvar,
    pub(super) cache: MappingCache,
    #[cfg(test)]
    pub(super) faults: super::sled_faults::Faults,
}

/// How far the thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Starting,
    /// It has tried to open the store.
    Tried,
    Ended,
}

impl Life {
    pub(super) fn new() -> Self {
        Self {
            trees: ArcSwapOption::empty(),
            trouble: ArcSwap::from_pointee("it has not been opened yet".to_owned()),
            was_open: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            opened_at: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            damage: Mutex::default(),
            last_job: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            stage: Mutex::new(Stage::Starting),
            stage_changed: Condvar::new(),
            cache: MappingCache::new(),
            #[cfg(test)]
            faults: super::sled_faults::Faults::default(),
        }
    }

    pub(super) fn opens(&self, trees: &Trees, counters: Counters) {
        self.last_job.fetch_max(counters.last_job, Ordering::Relaxed);
        self.opened_at.store(counters.revision, Ordering::Relaxed);
        self.trees.store(Some(Arc::new(trees.clone())));
        self.was_open.store(true, Ordering::Release);
    }

    pub(super) fn closes(&self, why: &str) {
        self.trees.store(None);
        self.trouble.store(Arc::new(why.to_owned()));
    }

    /// It takes writes, again or for the first time.
    pub(super) fn is_well(&self) {
        self.trouble.store(Arc::default());
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    #[cfg(feature = "cli")]
    pub(super) fn revision(&self) -> u64 {
        self.opened_at.load(Ordering::Relaxed)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    pub(super) fn suspects(&self, suspect: bool) {
        self.suspect.store(suspect, Ordering::Relaxed);
    }

    /// A record can't be read.
    pub(super) fn damaged(&self, what: String) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if damage.len() < MAX_NAMED && !damage.contains(&what) {
            tracing::error!(code = "store_damaged", "{what}; everything else is served");
            damage.push(what);
        }
    }

    /// What was found so far, at most some of it.
    pub(super) fn damage(&self) -> Vec<String> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn was_open(&self) -> bool {
        self.was_open.load(Ordering::Acquire)
    }

    pub(super) fn is_busy(&self, busy: bool) {
        self.busy_since.store(if busy { now_ms() } else { 0 }, Ordering::Relaxed);
    }

    pub(super) fn trees(&self) -> Result<Arc<Trees>, StoreError> {
        self.trees.load_full().ok_or_else(|| {
            StoreError::Stopped(format!("the store is not open: {}", self.trouble.load()))
        })
    }

    pub(super) fn health(&self) -> Result<(), String> {
        let trouble = self.trouble.load();
        if !trouble.is_empty() {
            return Err(format!(
                "takes no writes, and is tried again every few seconds: {trouble}"
            ));
        }
        if let Some(first) = self.damage().first() {
            return Err(format!("serves what is whole: {first}; see `transom store verify`"));
        }
        let since = self.busy_since.load(Ordering::Relaxed);
        let busy = Duration::from_millis(now_ms().saturating_sub(since));
        if since > 0 && busy > SLOW {
            return Err(format!("its disk has not taken a write for {} s", busy.as_secs()));
        }
        Ok(())
    }

    /// Before the store has said which names it gave, names go by the clock: more than a thousand a second were never
    /// given.
    pub(super) fn count_by_the_clock(&self) {
        self.last_job.fetch_max(now_ms(), Ordering::Relaxed);
    }

    pub(super) fn next_job(&self) -> JobId {
        JobId(self.last_job.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn reaches(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.stage_changed.notify_all();
    }

    /// Whether it got so far in time. Blocks.
    pub(super) fn wait_for(&self, stage: Stage, within: Duration) -> bool {
        let reached = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let early = |reached: &mut Stage| *reached < stage;
        let (reached, _) = self
            .stage_changed
            .wait_timeout_while(reached, within, early)
            .unwrap_or_else(PoisonError::into_inner);
        *reached >= stage
    }

    pub(super) fn last_job(&self) -> u64 {
        self.last_job.load(Ordering::Relaxed)
    }
}

/// A write that takes longer is told to the operator.
const SLOW: Duration = Duration::from_secs(5);
