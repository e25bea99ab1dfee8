//! The one thread that writes, and that opens the store: at first, and again after each failure.
//!
//! A batch that is under way when the disk fails is not given up. The store is closed, opened again as soon as that can
//! be done, and tells by its own revision which batches of the group it has; the others are applied then.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::codec::RESTORE;
use super::mirror::Mirror;
use super::scrub::Scrub;
use super::sled_life::{Life, Stage};
use super::sled_open::{self, Opened, guarded};
use super::sled_place::Place;
use super::sled_writer::{Changes, WriteError, Writer};
use super::tally::{Tally, TallyFile};
use super::{Applied, Batch, StoreError};

/// A batch, and who waits for it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Applied, StoreError>>,
}

pub(super) struct StoreThread {
    place: Place,
    life: Arc<Life>,
    writes: mpsc::Receiver<Write>,
    writer: Option<Writer>,
    /// What it keeps beside sled, while that is open.
    beside: Option<Beside>,
    /// The last revision that was given out, and the last of those that are known to be durable.
    revision: u64,
    durable: u64,
    /// The trouble as it was told last, and when.
    told: Option<(String, Instant)>,
    /// How the place looked when a damaged store was refused.
    refused: Option<Stamp>,
    /// A sync failed: what was read back since is not known to be on the disk.
    distrusted: bool,
}

type Stamp = Vec<Option<(u64, SystemTime)>>;

struct Beside {
    mirror: Mirror,
    tally: TallyFile,
    scrub: Scrub,
}

/// A batch of the group under way.
struct Waiting {
    write: Write,
    /// With which revision it was written.
    revision: Option<u64>,
    answer: Option<Result<Applied, StoreError>>,
}

impl StoreThread {
    pub(super) fn new(place: Place, life: Arc<Life>, writes: mpsc::Receiver<Write>) -> Self {
        Self {
            place,
            life,
            writes,
            writer: None,
            beside: None,
            revision: 0,
            durable: 0,
            told: None,
            refused: None,
            distrusted: false,
        }
    }

    /// Takes over a store that was just opened.
    pub(super) fn install(&mut self, opened: Opened) -> Result<(), StoreError> {
        let (counters, tally) = (opened.counters, opened.tally.clone());
        if counters.revision < self.durable {
            return Err(StoreError::Corrupt(format!(
                "the store in {} lost what was written: it has {} changes, and there were {}; {RESTORE}",
                self.place.sled.display(),
                counters.revision,
                self.durable
            )));
        }
        if !self.place.is_copy {
            let file = TallyFile::open(&self.place.tally).map_err(|error| {
                StoreError::Io(format!("the store's tally can't be opened: {error}"))
            })?;
            let known = tally.mirror.filter(|_| tally.revision == counters.revision);
            let mirror = Mirror::open(self.place.mirror(), known);
            self.beside = Some(Beside { mirror, tally: file, scrub: Scrub::default() });
        }
        self.life.suspects(opened.suspect || self.life.is_suspect());
        self.life.opens(&opened.trees, counters);
        self.durable = counters.revision;
        let writer = Writer::new(opened, Arc::clone(&self.life), self.revision);
        self.revision = writer.revision();
        self.writer = Some(writer);
        self.note(None);
        Ok(())
    }

    /// Writes down how far the store has come.
    fn note(&mut self, closed: Option<u32>) {
        let Some(Beside { mirror, tally, .. }) = &mut self.beside else { return };
        let (revision, last_job) = (self.durable, self.life.last_job());
        let suspect = self.life.is_suspect();
        let now = Tally { revision, last_job, mirror: mirror.length(), closed, suspect };
        if let Err(error) = tally.write(&now) {
            tracing::warn!(%error, "how far the store has come can't be written beside it");
        }
    }

    /// Serves writes until every sender is gone.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.life));
        if self.writer.is_none() {
            self.try_open();
        }
        self.life.reaches(Stage::Tried);
        while self.opened() {
            self.is_well();
            let Some(first) = self.next() else { break };
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(next) = self.writes.try_recv()
            {
                group.push(next);
            }
            self.life.is_busy(true);
            self.commit(group);
            self.life.is_busy(false);
        }
        self.close();
    }

    /// The next write. Until there is one, the mirror is brought up to date and records are looked at. `None`: there
    /// will be none.
    fn next(&mut self) -> Option<Write> {
        while self.beside.as_ref().is_some_and(Beside::has_work) {
            match self.writes.try_recv() {
                Ok(write) => return Some(write),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.work(),
            }
        }
        self.writes.blocking_recv()
    }

    fn work(&mut self) {
        let Some((Beside { mirror, scrub, .. }, writer)) =
            self.beside.as_mut().zip(self.writer.as_ref())
        else {
            return;
        };
        let (revision, last_job) = (writer.revision(), self.life.last_job());
        if mirror.is_behind() {
            let stepped = guarded(|| mirror.step(writer.trees(), revision, last_job));
            if let Ok(Err(StoreError::Corrupt(_))) | Err(_) = stepped {
                mirror.gives_up();
            }
            if !mirror.is_behind() {
                self.note(None);
            }
        } else if let Err(fault) = guarded(|| scrub.step(writer.trees(), &self.life)) {
            self.life.damaged(format!("reading the store broke off: {fault}"));
            scrub.gives_up();
        }
    }

    /// Waits until the store is open. `false`: it is not needed any more.
    fn opened(&mut self) -> bool {
        let mut pause = REOPEN_FIRST;
        while self.writer.is_none() {
            if self.writes.is_closed() {
                return false;
            }
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(REOPEN_EVERY);
            self.try_open();
        }
        true
    }

    fn try_open(&mut self) {
        if self.refused.as_ref().is_some_and(|refused| *refused == self.place.stamp()) {
            return;
        }
        self.refused = None;
        match guarded(|| self.open()) {
            Ok(Ok(opened)) => {
                if let Err(error) = self.install(opened) {
                    self.not_opened(&error.to_string());
                }
            }
            Ok(Err(error)) => {
                self.refused = matches!(error, StoreError::Corrupt(_)).then(|| self.place.stamp());
                self.not_opened(&error.to_string());
            }
            Err(fault) => self.not_opened(&format!("opening the store broke off: {fault}")),
        }
    }

    fn open(&mut self) -> Result<Opened, StoreError> {
        #[cfg(test)]
        self.life.faults.at(super::sled_faults::Moment::Open).map_err(StoreError::Io)?;
        if self.distrusted {
            sled_open::rewrite(&self.place.sled)?;
            self.distrusted = false;
        }
        sled_open::open(&self.place, self.life.was_open())
    }

    fn not_opened(&mut self, error: &str) {
        self.life.closes(error);
        self.tell(format!(
            "{error}. Requests pass; uploads and sessions wait until the store opens, which is tried every few seconds"
        ));
    }

    fn failed(&mut self, told: &str) {
        self.life.failed();
        self.life.closes(told);
        self.tell(format!(
            "the store in {} failed: {told}. It is opened again as soon as that can be done, and what waits is \
             written then",
            self.place.sled.display()
        ));
        self.put_away();
    }

    /// At most once a minute, as long as it is the same.
    fn tell(&mut self, trouble: String) {
        let same = |(told, at): &(String, Instant)| *told == trouble && at.elapsed() < TELL_EVERY;
        if !self.told.as_ref().is_some_and(same) {
            tracing::error!(code = "store_unavailable", "{trouble}");
            self.told = Some((trouble, Instant::now()));
        }
    }

    fn is_well(&mut self) {
        self.life.is_well();
        if self.told.take().is_some() {
            tracing::info!(path = %self.place.sled.display(), "the store takes writes again");
        }
    }

    fn commit(&mut self, group: Vec<Write>) {
        // Who gave up waiting before the batch was begun takes it for not written.
        let group = group.into_iter().filter(|write| !write.reply.is_closed());
        let waiting = |write| Waiting { write, revision: None, answer: None };
        let mut group: Vec<Waiting> = group.map(waiting).collect();
        let mut broken = 0;
        loop {
            let error = match guarded(|| self.try_commit(&mut group)) {
                Ok(Ok(changes)) => {
                    self.life.cache.written(changes);
                    self.is_well();
                    return answer(group);
                }
                Ok(Err(error)) => error,
                Err(fault) => {
                    WriteError::Broken(StoreError::Io(format!("a write broke off: {fault}")))
                }
            };
            let (told, given_up) = match error {
                WriteError::Disk { told, lost } => {
                    self.distrusted |= lost;
                    (told, None)
                }
                WriteError::Broken(error) | WriteError::Refused(error) => {
                    broken += 1;
                    (error.to_string(), (broken == MAX_BROKEN).then_some(error))
                }
            };
            self.failed(&told);
            if let Some(error) = given_up {
                fail(&mut group, &error);
            } else if !self.opened() {
                fail(&mut group, &StoreError::Io(format!("the store was closed: {told}")));
            } else {
                continue;
            }
            self.life.cache.written(Changes::new());
            return answer(group);
        }
    }

    /// Applies what the store does not have yet, and makes the group durable.
    fn try_commit(&mut self, group: &mut [Waiting]) -> Result<Changes, WriteError> {
        let Some(writer) = &mut self.writer else {
            return Err(WriteError::Disk { told: "it is not open".to_owned(), lost: false });
        };
        let mut changes = Changes::new();
        let mut wrote = false;
        for waiting in group {
            if waiting.revision.is_some_and(|revision| revision <= self.durable) {
                waiting.answer = Some(Ok(Applied::Done));
                continue;
            }
            // Before it is begun: a failure may leave it written.
            waiting.revision = Some(writer.revision() + 1);
            let applied = writer.apply(waiting.write.batch.clone(), &mut changes);
            self.revision = writer.revision();
            waiting.answer = Some(match applied {
                Ok(applied) => Ok(applied),
                Err(WriteError::Refused(error)) => Err(error),
                Err(error) => return Err(error),
            });
            if let Some(Ok(Applied::Done)) = waiting.answer {
                waiting.revision = Some(writer.revision());
                wrote = true;
            } else {
                waiting.revision = None;
            }
        }
        if wrote {
            writer.sync()?;
            self.durable = self.revision;
            let lines = writer.take_lines();
            if let Some(beside) = &mut self.beside {
                beside.mirror.append(&lines);
            }
            self.note(None);
        }
        Ok(changes)
    }

    fn close(mut self) {
        let Some(writer) = &self.writer else { return self.life.closes("it is closed") };
        let closed = guarded(|| writer.close());
        let is_closed = matches!(closed, Ok(Ok(())));
        if !is_closed {
            tracing::warn!("the store could not be closed cleanly; nothing acknowledged is lost");
        }
        let mirrored = self.beside.as_ref().is_none_or(|beside| beside.mirror.sync().is_ok());
        self.life.closes("it is closed");
        self.put_away();
        if is_closed && mirrored {
            let sum = self.place.checksum().ok();
            self.note(sum);
            let _ = self.beside.as_ref().map(|beside| beside.tally.sync());
        }
    }

    /// sled panics where its last sync fails.
    fn put_away(&mut self) {
        let writer = self.writer.take();
        self.revision = writer.as_ref().map_or(0, Writer::revision).max(self.revision);
        let _ = guarded(move || drop(writer));
    }
}

impl Beside {
    fn has_work(&self) -> bool {
        self.mirror.is_behind() || !self.scrub.is_done()
    }
}

/// Tells of the end of the thread, even if that is a panic.
struct Ending(Arc<Life>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.reaches(Stage::Ended);
    }
}

fn answer(group: Vec<Waiting>) {
    for Waiting { write, answer, .. } in group {
        // Nobody may be waiting any more; the batch is written all the same.
        let _ = write.reply.send(answer.unwrap_or(Ok(Applied::Conflict)));
    }
}

/// What was not written, and what was without being known to be durable.
fn fail(group: &mut [Waiting], error: &StoreError) {
    for waiting in group {
        let told = error.to_string();
        waiting.answer = Some(Err(match error {
            StoreError::Corrupt(_) => StoreError::Corrupt(told),
            _ => StoreError::Io(told),
        }));
    }
}

/// Batches that share one flush and fsync.
const MAX_GROUP: usize = 256;
/// Tries at a group that the store itself can't take.
const MAX_BROKEN: u32 = 3;
const REOPEN_FIRST: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 200 });
const REOPEN_EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });
const TELL_EVERY: Duration = Duration::from_secs(60);
