//! The kinds of jobs, one file each: how an attempt is made, in which lane it waits, and what a restart makes of an
//! attempt that was cut off.
//!
//! A new kind is a variant of [`Task`], a file here, and a line in [`of`].

mod remove;
mod settle;
mod upload;

use super::attempt::Outcome;
use super::core::Core;
use super::lane::LaneLimits;
use super::token_bucket::Rate;
use crate::store::{BoxFuture, Job, StoreError, Task};

pub(super) trait JobKind: Sync {
    /// As events call it.
    fn name(&self) -> &'static str;
    /// Where a job with this task waits.
    fn lane(&self, task: &Task) -> LaneId;
    /// One attempt at a job that is due. `failures`: how often in a row its lane has failed so far.
    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>>;
    /// What becomes of a job whose attempt ended without a word, with the process or with its lease. `now`: in Unix
    /// milliseconds.
    fn interrupted(&self, job: &Job, now: u64) -> Job;
}

/// The registration of all kinds.
pub(super) fn of(job: &Job) -> &'static dyn JobKind {
    match &job.task {
        Task::Upload { .. } if job.is_unclear() => &settle::SettleJob,
        Task::Upload { .. } => &upload::UploadJob,
        Task::Remove { .. } => &remove::RemoveJob,
    }
}

/// Where a job waits.
pub(super) fn lane_of(job: &Job) -> LaneId {
    of(job).lane(&job.task)
}

/// By sniffed content. Anything else is converted, so that the hash that the backend tells is another file's.
pub(super) fn is_pdf(content_type: &str) -> bool {
    content_type == "application/pdf"
}

/// Uploads and removals wait apart: a full plan stops uploads, and removals are what makes room. So do looks at the
/// backend, which go on while it takes no uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneId {
    /// Of PDFs.
    Uploads,
    /// Uploads of what is converted.
    Conversions,
    Settlements,
    Removals,
}

impl LaneId {
    pub(super) const ALL: [Self; 4] =
        [Self::Uploads, Self::Conversions, Self::Settlements, Self::Removals];

    /// As events call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Conversions => "conversions",
            Self::Settlements => "settlements",
            Self::Removals => "removals",
        }
    }

    /// A backend gets a few large uploads side by side, and no flood after an outage.
    pub(super) fn limits(self) -> LaneLimits {
        let rate = Rate { burst: 100, interval: 20 }; // 50 in a second
        match self {
            Self::Uploads | Self::Conversions => LaneLimits { concurrency: 4, rate },
            Self::Settlements | Self::Removals => LaneLimits { concurrency: 2, rate },
        }
    }
}
