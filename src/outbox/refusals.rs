//! Whether a refusal speaks of its document, or of everything that is sent.

use std::sync::{Mutex, PoisonError};

use crate::store::JobId;

/// The refusals in a row, without a document that was stored between them.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Row>);

#[derive(Debug, Default)]
struct Row {
    /// When one was stored last, in Unix milliseconds.
    stored_at: Option<u64>,
    status: Option<u16>,
    jobs: Vec<JobId>,
}

/// What a refusal is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Counts,
    /// Nothing else was answered for a while: also not to these, whose refusals were taken to count.
    AllAlike(Vec<JobId>),
}

impl Refusals {
    pub(super) fn stored(&self, now: u64) {
        let mut row = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *row = Row { stored_at: Some(now), ..Row::default() };
    }

    /// `first`: when this job was first refused; both times in Unix milliseconds.
    pub(super) fn judge(&self, job: JobId, status: Option<u16>, first: u64, now: u64) -> Judgement {
        let mut row = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another was stored since, or it has had its time.
        if row.stored_at.is_some_and(|at| at > first) || now.saturating_sub(first) > LONGEST {
            return Judgement::Counts;
        }
        if row.status != status {
            row.status = status;
            row.jobs.clear();
        }
        if !row.jobs.contains(&job) && row.jobs.len() < IN_A_ROW {
            row.jobs.push(job);
        }
        if row.jobs.len() < IN_A_ROW {
            return Judgement::Counts;
        }
        Judgement::AllAlike(row.jobs.iter().copied().filter(|other| *other != job).collect())
    }
}

/// So many documents that are refused one after the other, with the same status, are none by themselves.
const IN_A_ROW: usize = 3;
/// Milliseconds after which a document that is refused all the while is refused for good: a day.
const LONGEST: u64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_alike_are_none_until_another_is_stored() {
        let refusals = Refusals::default();
        let judge = |job, status, first| refusals.judge(JobId(job), Some(status), first, 1000);
        assert_eq!(judge(1, 422, 1), Judgement::Counts);
        assert_eq!(judge(2, 422, 2), Judgement::Counts);
        assert_eq!(judge(2, 422, 2), Judgement::Counts, "the same one again");
        assert_eq!(judge(3, 422, 3), Judgement::AllAlike(vec![JobId(1), JobId(2)]));
        refusals.stored(500);
        for job in [1, 2, 3] {
            assert_eq!(judge(job, 422, job), Judgement::Counts, "it was refused before that");
        }
        assert_eq!(judge(4, 422, 600), Judgement::Counts);
        assert_eq!(judge(5, 415, 600), Judgement::Counts);
        assert_eq!(judge(6, 422, 600), Judgement::Counts, "not alike");
    }

    #[test]
    fn nothing_is_tried_for_ever() {
        let refusals = Refusals::default();
        for job in [1, 2] {
            refusals.judge(JobId(job), Some(415), 0, 0);
        }
        let late = |now| refusals.judge(JobId(3), Some(415), 0, now);
        assert!(matches!(late(LONGEST), Judgement::AllAlike(_)));
        assert_eq!(late(LONGEST + 1), Judgement::Counts);
    }
}
