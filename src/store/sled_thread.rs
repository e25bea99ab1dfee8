//! The one thread that writes, and that opens the store: at first, and again after each failure.
//!
//! A batch that is under way when the disk fails is not given up. The store is closed, opened again as soon as that can
//! be done, and tells by its own revision which batches of the group it has; the others are applied then.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::sled_life::{Life, Stage};
use super::sled_open::{self, Opened};
use super::sled_writer::{Changes, WriteError, Writer};
use super::{Applied, Batch, StoreError};

/// A batch, and who waits for it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Applied, StoreError>>,
}

pub(super) struct StoreThread {
    path: PathBuf,
    life: Arc<Life>,
    writes: mpsc::Receiver<Write>,
    writer: Option<Writer>,
    /// The last revision that was given out, and the last of those that are known to be durable.
    revision: u64,
    durable: u64,
    /// The trouble as it was told last, and when.
    told: Option<(String, Instant)>,
    /// A sync failed: what was read back since is not known to be on the disk.
    distrusted: bool,
}

/// A batch of the group under way.
struct Waiting {
    write: Write,
    /// With which revision it was written.
    revision: Option<u64>,
    answer: Option<Result<Applied, StoreError>>,
}

impl StoreThread {
    pub(super) fn new(path: PathBuf, life: Arc<Life>, writes: mpsc::Receiver<Write>) -> Self {
        Self {
            path,
            life,
            writes,
            writer: None,
            revision: 0,
            durable: 0,
            told: None,
            distrusted: false,
        }
    }

    /// Takes over a store that was just opened.
    pub(super) fn install(&mut self, opened: Opened) {
        let counters = opened.counters;
        self.life.opens(&opened.trees, counters.last_job);
        self.durable = counters.revision;
        let writer = Writer::new(opened, Arc::clone(&self.life), self.revision);
        self.revision = writer.revision();
        self.writer = Some(writer);
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
            let Some(first) = self.writes.blocking_recv() else { break };
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
        match guarded(|| self.open()) {
            Ok(Ok(opened)) => self.install(opened),
            Ok(Err(error)) => self.not_opened(&error.to_string()),
            Err(fault) => self.not_opened(&format!("opening the store broke off: {fault}")),
        }
    }

    fn open(&mut self) -> Result<Opened, StoreError> {
        #[cfg(test)]
        self.life.faults.at(super::sled_faults::Moment::Open).map_err(StoreError::Io)?;
        if self.distrusted {
            sled_open::rewrite(&self.path)?;
            self.distrusted = false;
        }
        sled_open::open(&self.path)
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
            self.path.display()
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
            tracing::info!(path = %self.path.display(), "the store takes writes again");
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
        }
        Ok(changes)
    }

    fn close(mut self) {
        if let Some(writer) = &self.writer
            && !matches!(guarded(|| writer.close()), Ok(Ok(())))
        {
            tracing::warn!("the store could not be closed cleanly; nothing acknowledged is lost");
        }
        self.life.closes("it is closed");
        self.put_away();
    }

    /// sled panics where its last sync fails.
    fn put_away(&mut self) {
        let writer = self.writer.take();
        self.revision = writer.as_ref().map_or(0, Writer::revision).max(self.revision);
        let _ = guarded(move || drop(writer));
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

/// sled meets some kinds of damage with a panic.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a fault").to_owned()
    })
}

/// Batches that share one flush and fsync.
const MAX_GROUP: usize = 256;
/// Tries at a group that the store itself can't take.
const MAX_BROKEN: u32 = 3;
const REOPEN_FIRST: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 200 });
const REOPEN_EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });
const TELL_EVERY: Duration = Duration::from_secs(60);
