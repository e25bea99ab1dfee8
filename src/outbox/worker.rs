//! Picks what is due and starts attempts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep_until;

use super::attempt::{Outcome, attempt, ready_at};
use super::clock::millis;
use super::conclude::STORE_PAUSE;
use super::core::Core;
use super::kinds::{self, LaneId};
use super::lane::Lane;
use super::verdict::{PROBE_EVERY, is_away};
use crate::events::{Event, StoreNeed};
use crate::store::{DocId, Job, JobId, Progress, StoreError};
use crate::telemetry::OutboxFigures;

/// Knows a bounded part of the journal: up to a lane's worth of due jobs, and when the next one
/// will be. The journal is read through only when that is used up.
pub(super) struct Worker {
    core: Arc<Core>,
    lanes: [Lane; LaneId::ALL.len()],
    /// Documents with an attempt under way: one at a time each.
    busy: HashSet<DocId>,
    running: HashMap<Id, Running>,
    attempts: JoinSet<Outcome>,
    /// DWS is another one since: the journal's times of next tries don't count.
    anew: bool,
    /// Jobs of the lanes that are tried before their time.
    early: HashSet<JobId>,
    /// When the journal has to be read again, in Unix milliseconds.
    read_at: u64,
    /// The journal has changed since the figures were taken.
    changed: bool,
    figures_at: u64,
    /// The store failed: nothing is tried before this time.
    paused_until: u64,
    /// Whether the backend is back, while a lane waits for it: one question at a time.
    probe: JoinSet<bool>,
    probe_at: Option<u64>,
}

struct Running {
    lane: LaneId,
    id: JobId,
    document: DocId,
}

impl Worker {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            lanes: LaneId::ALL.map(|lane| Lane::new(lane.limits())),
            busy: HashSet::new(),
            running: HashMap::new(),
            attempts: JoinSet::new(),
            anew: false,
            early: HashSet::new(),
            read_at: 0,
            changed: false,
            figures_at: 0,
            paused_until: 0,
            probe: JoinSet::new(),
            probe_at: None,
        }
    }

    /// Runs until `stop` is true, then waits for the attempts under way.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            self.take_hints();
            if self.must_read()
                && let Err(error) = self.read_journal().await
            {
                let need = StoreNeed::Reading;
                self.core.tell(&Event::StoreFailed { need, error: &error });
                self.store_failed();
            }
            self.start_due();
            self.start_probe();
            let core = Arc::clone(&self.core);
            let wake = core.clock.instant(self.wakes_at());
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = core.hints.offered() => {}
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                Some(is_back) = self.probe.join_next() => self.probed(is_back.unwrap_or(false)),
                () = sleep_until(wake) => {}
            }
        }
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended);
        }
    }

    fn take_hints(&mut self) {
        let fresh = self.core.hints.take();
        self.changed |= !fresh.jobs.is_empty();
        for (id, (lane, document)) in fresh.jobs {
            self.lane(lane).offer(id, document);
        }
        for (id, (lane, document)) in fresh.preferred {
            self.lane(lane).prefer(id, document);
        }
        if fresh.anew {
            self.anew = true;
            LaneId::ALL.into_iter().for_each(|lane| self.works(lane));
        }
        if fresh.overflowed {
            self.lanes.iter_mut().for_each(Lane::lost_track);
        }
    }

    fn must_read(&self) -> bool {
        let now = self.core.clock.now();
        let figures = self.changed && now >= self.figures_at;
        let used_up = self.lanes.iter().any(Lane::must_read);
        now >= self.paused_until && (now >= self.read_at || used_up || figures || self.anew)
    }

    /// Goes through the whole journal: what is due, when the next will be, and the figures.
    async fn read_journal(&mut self) -> Result<(), StoreError> {
        let now = self.core.clock.now();
        self.changed = false;
        self.figures_at = now.saturating_add(millis(FIGURES_EVERY));
        self.lanes.iter_mut().for_each(Lane::reading);
        let anew = std::mem::take(&mut self.anew);
        let mut figures = OutboxFigures::default();
        let mut next = now.saturating_add(millis(READ_AT_LEAST_EVERY));
        let mut after = None;
        loop {
            let page = self.core.store.jobs(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for job in &page {
                count(&mut figures, job, now);
                let is_running = self.running.values().any(|running| running.id == job.id);
                let Some(at) = ready_at(job, now).filter(|_| !is_running) else { continue };
                // One that may still arrive waits for that, not for the backend.
                let is_due = matches!(job.progress, Progress::Due { .. });
                let early = anew && is_due && !job.may_arrive();
                if at > now && !early {
                    next = next.min(at);
                    continue;
                }
                let offered = self.lane(kinds::lane_of(job)).offer(job.id, job.document);
                if offered && at > now {
                    self.early.insert(job.id);
                }
            }
        }
        self.read_at = next;
        self.core.tell(&Event::JobsCounted(&figures));
        Ok(())
    }

    fn start_due(&mut self) {
        if self.core.pause.is_on() {
            return;
        }
        let now = self.core.clock.now();
        while now >= self.paused_until {
            let next = LaneId::ALL.into_iter().filter(|lane| self.is_open(*lane));
            let next = next.filter_map(|lane| {
                let id = self.lanes[lane as usize].next(now, &self.busy)?;
                Some((id, lane))
            });
            let Some((id, lane)) = next.min_by_key(|(id, _)| *id) else { return };
            let Some(document) = self.lane(lane).start(id, now) else { return };
            let failures = self.lane(lane).failures();
            let early = self.early.remove(&id);
            let task = self.attempts.spawn(attempt(Arc::clone(&self.core), id, failures, early));
            self.busy.insert(document);
            self.running.insert(task.id(), Running { lane, id, document });
        }
    }

    /// Of what no hash will tell whether it arrived, one goes at a time, and none while another is looked for: see
    /// [`Unsettled`](super::unsettled::Unsettled).
    fn is_open(&self, lane: LaneId) -> bool {
        if lane != LaneId::Conversions {
            return true;
        }
        let is_alone = self.lanes[lane as usize].is_idle() && self.core.unsettled.is_empty();
        is_alone || self.core.backend.get().capabilities().honours_ids.surely()
    }

    /// Asks whether the backend is back, which costs it little, and an upload without a clear end a good deal.
    fn start_probe(&mut self) {
        let now = self.core.clock.now();
        if self.probe_at.is_none_or(|at| at > now) || !self.probe.is_empty() {
            return;
        }
        self.probe_at = None;
        if !self.lanes.iter().any(Lane::waits_for_backend) {
            return;
        }
        let backend = self.core.backend.get();
        self.probe.spawn(async move {
            let asked = backend.check().await;
            asked.err().is_none_or(|error| !is_away(error.kind))
        });
    }

    fn probed(&mut self, is_back: bool) {
        let now = self.core.clock.now();
        let next = now.saturating_add(millis(PROBE_EVERY));
        self.probe_at = Some(next);
        for lane in self.lanes.iter_mut().filter(|lane| lane.waits_for_backend()) {
            if is_back {
                lane.half_open(now);
                // What failed before is due at times that count no more.
                self.anew = true;
            } else {
                lane.failed(now, next.saturating_add(1));
            }
        }
    }

    fn wakes_at(&self) -> u64 {
        let now = self.core.clock.now();
        if now < self.paused_until {
            return self.paused_until;
        }
        let lanes = self.lanes.iter().filter(|_| !self.core.pause.is_on());
        let lanes = lanes.map(|lane| lane.wakes_at(now));
        let figures = self.changed.then_some(self.figures_at);
        let probe = self.probe_at.filter(|_| self.probe.is_empty());
        let times = lanes.chain([figures, probe]).flatten();
        times.fold(self.read_at, u64::min)
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an attempt at a delivery broke off");
                (error.id(), Outcome::StoreFailed)
            }
        };
        let Some(Running { lane, id, document }) = self.running.remove(&task) else { return };
        self.busy.remove(&document);
        self.changed = true;
        let now = self.core.clock.now();
        self.lane(lane).ended();
        match outcome {
            Outcome::Works => self.works(lane),
            Outcome::NotAsked => {}
            Outcome::Later(at) => self.read_at = self.read_at.min(at),
            Outcome::Unavailable(at) => {
                self.failed(lane, now, at);
                self.read_at = self.read_at.min(at);
            }
            Outcome::Away(at) => {
                self.failed(lane, now, at);
                self.lane(lane).goes_when_back();
                self.read_at = self.read_at.min(at);
                self.probe_at.get_or_insert(now.saturating_add(millis(PROBE_EVERY)));
            }
            Outcome::StoreFailed => {
                tracing::debug!(job = id.0, "the journal is read again after a pause");
                self.lane(lane).lost_track();
                self.store_failed();
            }
        }
    }

    fn works(&mut self, lane: LaneId) {
        if self.lane(lane).works() {
            self.core.tell(&Event::BreakerClosed { lane: lane.name() });
        }
    }

    fn failed(&mut self, lane: LaneId, now: u64, until: u64) {
        if self.lane(lane).failed(now, until) {
            let failures = self.lane(lane).failures();
            let rests = Duration::from_millis(until.saturating_sub(now));
            self.core.tell(&Event::BreakerOpened { lane: lane.name(), failures, rests });
        }
    }

    fn store_failed(&mut self) {
        let until = self.core.clock.now().saturating_add(millis(STORE_PAUSE));
        self.paused_until = until;
        self.read_at = until;
    }

    fn lane(&mut self, lane: LaneId) -> &mut Lane {
        &mut self.lanes[lane as usize]
    }
}

pub(super) fn count(figures: &mut OutboxFigures, job: &Job, now: u64) {
    match job.progress {
        Progress::Due { .. } => figures.due += 1,
        Progress::Sending => figures.sending += 1,
        Progress::Parked { .. } => figures.parked += 1,
        // Not known to be work at all.
        Progress::Unconfirmed | Progress::Refused { .. } => return,
    }
    let age = Duration::from_millis(now.saturating_sub(job.created_at));
    figures.oldest = figures.oldest.max(age);
}

const PAGE: usize = 256;
const FIGURES_EVERY: Duration = Duration::from_secs(15);
const READ_AT_LEAST_EVERY: Duration = Duration::from_secs(10 * 60);
