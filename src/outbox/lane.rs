//! Jobs that are due, and whether the backend would take them now.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use super::breaker::CircuitBreaker;
use super::token_bucket::{Rate, TokenBucket};
use crate::store::{DocId, JobId};

/// While its circuit breaker is open, or one of its limits is reached, its jobs rest where they are.
#[derive(Debug)]
pub(super) struct Lane {
    due: BTreeMap<JobId, DocId>,
    /// Those of them whose documents a view is waiting for.
    preferred: BTreeMap<JobId, DocId>,
    /// While the backend fails, others are tried before this one is again.
    last_tried: Option<JobId>,
    /// What opened its breaker may end before its time.
    waits: bool,
    /// The journal holds due jobs that found no place here.
    overflowed: bool,
    breaker: CircuitBreaker,
    rate: TokenBucket,
    concurrency: usize,
    running: usize,
}

/// What a lane asks of the backend at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneLimits {
    /// Attempts at a time.
    pub(super) concurrency: usize,
    pub(super) rate: Rate,
}

impl Lane {
    pub(super) fn new(limits: LaneLimits) -> Self {
        let LaneLimits { concurrency, rate } = limits;
        Self {
            due: BTreeMap::new(),
            preferred: BTreeMap::new(),
            last_tried: None,
            waits: false,
            overflowed: false,
            breaker: CircuitBreaker::default(),
            rate: TokenBucket::new(rate),
            concurrency,
            running: 0,
        }
    }

    /// Whether there was a place for it.
    pub(super) fn offer(&mut self, id: JobId, document: DocId) -> bool {
        let taken = self.due.len() < MAX_DUE || self.due.contains_key(&id);
        if taken {
            self.due.insert(id, document);
        } else {
            self.overflowed = true;
        }
        taken
    }

    /// The oldest job that may be tried now.
    pub(super) fn next(&self, now: u64, busy: &HashSet<DocId>) -> Option<JobId> {
        let permits = self.running < self.concurrency
            && self.breaker.permits(now, self.running)
            && self.rate.ready_at(now).is_none();
        if !permits {
            return None;
        }
        let free = |(id, document): (&JobId, &DocId)| (!busy.contains(document)).then_some(*id);
        let after = self.last_tried.filter(|_| self.breaker.failures() > 0);
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.due.range((after, Bound::Unbounded)).find_map(free);
        let preferred = self.preferred.iter().find_map(free);
        preferred.or(later).or_else(|| self.due.iter().find_map(free))
    }

    /// Somebody waits for this one: it goes before the others, however many there are.
    pub(super) fn prefer(&mut self, id: JobId, document: DocId) {
        if self.preferred.len() < MAX_PREFERRED {
            self.preferred.insert(id, document);
        }
    }

    pub(super) fn start(&mut self, id: JobId, now: u64) -> Option<DocId> {
        let preferred = self.preferred.remove(&id);
        let document = self.due.remove(&id).or(preferred)?;
        self.last_tried = Some(id);
        self.rate.take(now);
        self.running += 1;
        Some(document)
    }

    pub(super) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// Whether it did not before.
    pub(super) fn works(&mut self) -> bool {
        self.waits = false;
        self.breaker.close()
    }

    /// The backend fails: nothing is tried before this time. Whether this is a new failure.
    pub(super) fn failed(&mut self, now: u64, until: u64) -> bool {
        self.breaker.open(now, until)
    }

    /// The failure is over as soon as the backend answers again.
    pub(super) fn goes_when_back(&mut self) {
        self.waits = true;
    }

    pub(super) fn waits_for_backend(&self) -> bool {
        self.waits
    }

    /// One attempt may be made now.
    pub(super) fn half_open(&mut self, now: u64) {
        self.waits = false;
        self.breaker.half_open(now);
    }

    pub(super) fn failures(&self) -> u32 {
        self.breaker.failures()
    }

    /// When waiting alone makes a job startable.
    pub(super) fn wakes_at(&self, now: u64) -> Option<u64> {
        let at = self.breaker.half_opens_at(now).max(self.rate.ready_at(now));
        at.filter(|_| !(self.due.is_empty() && self.preferred.is_empty()))
    }

    pub(super) fn must_read(&self) -> bool {
        self.overflowed && self.due.is_empty()
    }

    /// The journal is about to be read from its beginning.
    pub(super) fn reading(&mut self) {
        self.overflowed = false;
    }

    /// Only the journal knows what is due.
    pub(super) fn lost_track(&mut self) {
        self.overflowed = true;
    }
}

/// Due jobs of a lane that are known at a time; the others wait in the journal.
const MAX_DUE: usize = 512;
const MAX_PREFERRED: usize = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMITS: LaneLimits =
        LaneLimits { concurrency: 3, rate: Rate { burst: 1000, interval: 1 } };

    fn document(id: u64) -> DocId {
        format!("{id:032x}").parse().unwrap()
    }

    #[test]
    fn the_oldest_goes_first_and_one_per_document() {
        let mut lane = Lane::new(LIMITS);
        lane.offer(JobId(3), document(1));
        lane.offer(JobId(2), document(1));
        lane.offer(JobId(4), document(2));
        let mut busy = HashSet::new();
        assert_eq!(lane.next(0, &busy), Some(JobId(2)));
        busy.extend(lane.start(JobId(2), 0));
        assert_eq!(lane.next(0, &busy), Some(JobId(4)));
    }

    #[test]
    fn a_failing_lane_waits_and_then_tries_one() {
        let mut lane = Lane::new(LIMITS);
        assert!((1..5).all(|id| lane.offer(JobId(id), document(id))));
        lane.start(JobId(1), 0);
        lane.start(JobId(2), 0);
        lane.ended();
        lane.failed(100, 200);
        lane.ended();
        lane.failed(101, 150);
        assert_eq!(lane.failures(), 1, "both were under way when it opened");
        assert_eq!((lane.next(199, &HashSet::new()), lane.wakes_at(199)), (None, Some(200)));
        assert_eq!(lane.next(200, &HashSet::new()), Some(JobId(3)));
        lane.start(JobId(3), 200);
        assert_eq!(lane.next(200, &HashSet::new()), None, "one at a time while it fails");
        lane.ended();
        lane.works();
        assert_eq!(lane.next(0, &HashSet::new()), Some(JobId(4)));
    }

    #[test]
    fn so_many_at_a_time_and_so_many_in_a_time() {
        let rate = Rate { burst: 4, interval: 100 };
        let mut lane = Lane::new(LaneLimits { rate, ..LIMITS });
        assert!((1..9).all(|id| lane.offer(JobId(id), document(id))));
        for id in 1..=3 {
            assert_eq!(lane.next(1000, &HashSet::new()), Some(JobId(id)));
            lane.start(JobId(id), 1000);
        }
        assert_eq!(lane.next(1000, &HashSet::new()), None, "three are under way");
        lane.ended();
        lane.start(JobId(4), 1000);
        lane.ended();
        assert_eq!((lane.next(1000, &HashSet::new()), lane.wakes_at(1000)), (None, Some(1100)));
        assert_eq!(lane.next(1100, &HashSet::new()), Some(JobId(5)));
    }

    #[test]
    fn holds_a_bounded_number() {
        let mut lane = Lane::new(LIMITS);
        for id in 0..=MAX_DUE as u64 {
            lane.offer(JobId(id), document(id));
        }
        assert_eq!(lane.due.len(), MAX_DUE);
        assert!(!lane.must_read());
        for id in 0..MAX_DUE as u64 {
            lane.start(JobId(id), 0);
        }
        assert!(lane.must_read());
    }
}
