//! Uploads without a clear end of which no hash tells whether they were stored.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::kinds::is_pdf;
use crate::store::{Job, JobId, Progress, Task};

/// While there is one, no other file that is no PDF is sent, unless ids are heeded: the time since then holds one of
/// ours at most, so that a title is enough to know it by.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<HashSet<JobId>>);

impl Unsettled {
    pub(super) fn unclear(&self, job: &Job) {
        if matches!(&job.task, Task::Upload { content_type, .. } if !is_pdf(content_type)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id);
        }
    }

    /// If it is one.
    pub(super) fn unclear_one(&self, job: &Job) {
        if job.is_unclear() && !matches!(job.progress, Progress::Parked { .. }) {
            self.unclear(job);
        }
    }

    pub(super) fn settled(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
