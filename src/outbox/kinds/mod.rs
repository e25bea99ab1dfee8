//! The kinds of jobs, one file each: how an attempt is made, in which lane it waits, and what a restart makes of an
//! attempt that was cut off.
//!
//! A new kind is a variant of [`Task`], a file here, and a line in [`of`].

mod remove;
mod upload;

use super::attempt::Outcome;
use super::core::Core;
use super::lane::LaneLimits;
use super::token_bucket::Rate;
use crate::store::{BoxFuture, Job, Progress, StoreError, Task};

pub(super) trait JobKind: Sync {
    /// As events call it.
    fn name(&self) -> &'static str;
    /// Where it waits.
    fn lane(&self) -> LaneId;
    /// One attempt at a job that is due. `failures`: how often in a row its lane has failed so far.
    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>>;
    /// How far a job is whose attempt ended without a word, with the process or with its lease. `now`: in Unix milliseconds.
    fn interrupted(&self, now: u64) -> Progress;
}

/// The registration of all kinds.
pub(super) fn of(task: &Task) -> &'static dyn JobKind {
    match task {
        Task::Upload { .. } => &upload::UploadJob,
        Task::Remove { .. } => &remove::RemoveJob,
    }
}

/// Uploads and removals wait apart: a full plan stops uploads, and removals are what makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneId {
    Uploads,
    Removals,
}

impl LaneId {
    pub(super) const ALL: [Self; 2] = [Self::Uploads, Self::Removals];

    /// As events call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Removals => "removals",
        }
    }

    /// A backend gets a few large uploads side by side, and no flood after an outage.
    pub(super) fn limits(self) -> LaneLimits {
        let rate = Rate { burst: 100, interval: 20 }; // 50 in a second
        match self {
            Self::Uploads => LaneLimits { concurrency: 4, rate },
            Self::Removals => LaneLimits { concurrency: 2, rate },
        }
    }
}
