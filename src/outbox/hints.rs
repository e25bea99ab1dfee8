//! Tells the worker what has just become due, so that it need not read the journal for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::kinds::{self, LaneId};
use crate::store::{DocId, Job, JobId};

#[derive(Debug, Default)]
pub(super) struct Hints {
    fresh: Mutex<Fresh>,
    wake: Notify,
}

/// Jobs that became due since the worker last looked.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) jobs: BTreeMap<JobId, (LaneId, DocId)>,
    /// Jobs whose documents a view is waiting for.
    pub(super) preferred: BTreeMap<JobId, (LaneId, DocId)>,
    /// There were more than are kept here: only the journal knows them all.
    pub(super) overflowed: bool,
    /// DWS is another one now, so that what it failed at before need not wait.
    pub(super) anew: bool,
}

impl Hints {
    pub(super) fn offer<'a>(&self, jobs: impl IntoIterator<Item = &'a Job>) {
        {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            for job in jobs {
                if fresh.jobs.len() < MAX_FRESH {
                    fresh.jobs.insert(job.id, (kinds::lane_of(job), job.document));
                } else {
                    fresh.overflowed = true;
                }
            }
        }
        self.wake.notify_one();
    }

    /// Somebody waits for this one.
    pub(super) fn prefer(&self, job: &Job) {
        {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            if fresh.preferred.len() < MAX_FRESH {
                fresh.preferred.insert(job.id, (kinds::lane_of(job), job.document));
            }
        }
        self.wake.notify_one();
    }

    pub(super) fn begin_anew(&self) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).anew = true;
        self.wake.notify_one();
    }

    pub(super) fn take(&self) -> Fresh {
        std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when something was offered since the last time it did.
    pub(super) async fn offered(&self) {
        self.wake.notified().await;
    }
}

const MAX_FRESH: usize = 512;
