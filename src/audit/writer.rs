//! The one thread that writes: what waits is written together, then released.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::Duration;

use fs2::FileExt;
use tokio::sync::oneshot;

use super::chain::{Link, MAX_LINE, Opened, Seal, hex, write_line};
use super::tail::{Tail, read_tail};
use super::{State, names};
use crate::events::{AuditEvent, Event, Events, Origin};
use crate::telemetry::{LogFile, Rfc3339};

/// A line's members, and who waits for it to be on file.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) members: String,
    pub(super) reply: oneshot::Sender<bool>,
}

pub(super) struct Writer {
    path: PathBuf,
    seal: Seal,
    /// Whether lines have to outlive the machine too.
    sync: bool,
    /// `None` after a failure, until it can be opened again.
    open: Option<Open>,
    /// The last line that this process wrote.
    last: Link,
    lines: String,
    state: Arc<State>,
    events: Events,
}

/// A file that is ready for lines.
struct Open {
    log: LogFile,
    /// What it holds, as far as this process knows.
    len: u64,
    last: Link,
    /// What its first line from us will be, after this text.
    first: Option<(&'static str, Opened)>,
}

impl Writer {
    pub(super) fn open(
        path: &Path,
        key: Option<&[u8]>,
        sync: bool,
        state: Arc<State>,
        events: Events,
    ) -> Result<Self, String> {
        let (path, seal) = (path.to_owned(), Seal::new(key));
        let open = Open::at(&path, &seal, Link::default())?;
        let (last, lines) = (open.last, String::new());
        let begins = AuditEvent::Begins { path: &path, seq: last.seq, seal: &hex(&last.sum) };
        events.tell(&Event::Audit(begins), &Origin::default());
        Ok(Self { path, seal, sync, open: Some(open), last, lines, state, events })
    }

    /// Serves until every sender is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.commit(Vec::new());
        loop {
            match jobs.recv_timeout(TEND) {
                Ok(first) => {
                    let mut group = vec![first];
                    group.extend(jobs.try_iter().take(MAX_GROUP - 1));
                    // Who gave up waiting hands nothing out.
                    group.retain(|job| !job.reply.is_closed());
                    self.commit(group);
                }
                // Nobody hands anything out: time to see after a rotation or a failure.
                Err(RecvTimeoutError::Timeout) => self.commit(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, group: Vec<Job>) {
        let written = self.write(&group);
        self.note(&written, group.len() as u64);
        for job in group {
            // Nobody may be waiting any more.
            let _ = job.reply.send(written.is_ok());
        }
    }

    /// All lines, or none as far as that can be had.
    fn write(&mut self, group: &[Job]) -> Result<(), String> {
        if self.open.as_ref().is_some_and(Open::is_another) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::at(&self.path, &self.seal, self.last)?,
        };
        let time = Rfc3339::now();
        self.lines.clear();
        let mut last = open.last;
        if let Some((before, opened)) = &open.first {
            self.lines.push_str(before);
            last = write_line(&mut self.lines, &last, &self.seal, time, &opened.members());
        }
        for job in group {
            last = write_line(&mut self.lines, &last, &self.seal, time, &job.members);
        }
        if !self.lines.is_empty() {
            open.append(self.lines.as_bytes(), self.sync)
                .map_err(|error| names(&self.path, "can't be written", error))?;
        }
        if self.lines.capacity() > MAX_BUFFER {
            self.lines = String::new();
        }
        (open.first, open.last, self.last) = (None, last, last);
        self.open = Some(open);
        Ok(())
    }

    fn note(&self, written: &Result<(), String>, lines: u64) {
        if lines > 0 {
            self.tell(AuditEvent::Lines { lines, written: written.is_ok() });
        }
        self.state.stuck.store(false, Ordering::Relaxed);
        let failed = self.state.failing.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Err(error) if !failed => self.tell(AuditEvent::Failed { error }),
            Ok(()) if failed => self.tell(AuditEvent::Mended { path: &self.path }),
            _ => {}
        }
    }

    fn tell(&self, what: AuditEvent<'_>) {
        self.events.tell(&Event::Audit(what), &Origin::default());
    }
}

impl Open {
    fn at(path: &Path, seal: &Seal, last: Link) -> Result<Self, String> {
        let log = LogFile::open(path).map_err(|error| names(path, "can't be opened", error))?;
        lock(&log).map_err(|error| names(path, "can't be used", error))?;
        let tail = read_tail(log.file(), seal);
        let tail: Tail = tail.map_err(|error| names(path, "can't be read", error))?.ok_or_else(|| {
            let why = "nothing in it was written with this `key`, or without one if there is none; move it away to begin anew";
            names(path, "can't be continued", why)
        })?;
        // After a rotation the chain goes on where this process knows it to be.
        let last = tail.last.filter(|found| found.seq > last.seq).unwrap_or(last);
        Ok(Self { log, len: tail.len, last, first: Some(tail.opened()) })
    }

    /// Whether somebody moved or cut the file.
    fn is_another(&self) -> bool {
        let cut =
            self.log.file().metadata().is_ok_and(|found| found.is_file() && found.len() < self.len);
        cut || self.log.is_elsewhere()
    }

    fn append(&mut self, lines: &[u8], sync: bool) -> std::io::Result<()> {
        let file = self.log.file();
        let appended = self.log.append(lines);
        if appended.is_err() && file.metadata().is_ok_and(|found| found.len() > self.len) {
            // Half a line would do no harm either, it would be marked as torn when the file is opened again.
            let _ = file.set_len(self.len);
        }
        appended?;
        self.len += lines.len() as u64;
        if sync { file.sync_data() } else { Ok(()) }
    }
}

/// Two processes would tear the chain apart.
fn lock(log: &LogFile) -> Result<(), String> {
    let contended = fs2::lock_contended_error().kind();
    for _ in 0..LOCK_ATTEMPTS {
        match log.file().try_lock_exclusive() {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() != contended => return Err(error.to_string()),
            // A process that is just ending lets go a moment later.
            Err(_) => sleep(LOCK_PAUSE),
        }
    }
    Err("another process writes it; give each Transom a file of its own".to_owned())
}

const LOCK_ATTEMPTS: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// How often an idle writer looks after its file.
const TEND: Duration = Duration::from_secs(1);
/// Lines of one write: with those of [`MAX_LINE`] less than `tail` looks at.
const MAX_GROUP: usize = 31;
const MAX_BUFFER: usize = 4 * MAX_LINE;
