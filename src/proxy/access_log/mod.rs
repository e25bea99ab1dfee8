//! One line of JSON for each request, once its reply has ended.
//!
//! Whoever ends a reply adds the line to a buffer that all share, and wakes the writer only for the first line
//! of a batch. Where the writer does not keep up, lines are dropped and counted: a log makes nobody wait.

mod clock;
mod line;
mod visitor;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::config::AccessLogTo;
use crate::telemetry::{LogFile, Metrics};

pub(crate) use visitor::Visitor;

use clock::Clock;
use line::Line;

/// Where lines go. Cheap to clone; the writer ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog(Arc<Owner>);

#[derive(Debug)]
struct Owner(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    text: Vec<u8>,
    /// Set for each batch.
    clock: Clock,
    lines: u64,
    dropped: u64,
    ending: bool,
    ended: bool,
}

impl AccessLog {
    /// # Errors
    /// A sentence for the operator: the file can't be opened, or no thread can be had.
    pub(crate) fn start(to: &AccessLogTo, metrics: Arc<Metrics>) -> Result<Self, String> {
        let mut out = Out::open(to)?;
        let shared = Arc::new(Shared { pending: Mutex::default(), changed: Condvar::new() });
        let log = Self(Arc::new(Owner(Arc::clone(&shared))));
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let mut text = Vec::new();
            while let Some((lines, dropped)) = shared.next_batch(&mut text) {
                let written = out.write(&text);
                let (written, lost) = if written { (lines, 0) } else { (0, lines) };
                metrics.access_lines(written, lost + dropped);
                text.clear();
                text.shrink_to(ENOUGH);
            }
        });
        thread.map_err(|error| format!("no thread can be had: {error}"))?;
        Ok(log)
    }

    /// Writes what waits; gives up on a disk that hangs.
    pub(super) fn finish(&self) {
        let shared = &self.0.0;
        let pending = shared.end();
        drop(shared.changed.wait_timeout_while(pending, LAST_PATIENCE, |p| !p.ended));
    }

    /// `write` appends one line.
    fn add(&self, write: impl FnOnce(Line<'_>, &Clock)) {
        let shared = &self.0.0;
        let mut pending = shared.pending();
        if pending.text.len() >= AT_MOST {
            pending.dropped += 1;
            return;
        }
        let Pending { text, clock, .. } = &mut *pending;
        let before = text.len();
        if before == 0 {
            *clock = Clock::set();
        }
        write(Line::new(text), clock);
        pending.lines += 1;
        let enough = before < ENOUGH && pending.text.len() >= ENOUGH;
        drop(pending);
        if before == 0 || enough {
            shared.changed.notify_all();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.end());
    }
}

impl Shared {
    /// Waits for lines, and a little longer for more of them. `None` at the end.
    fn next_batch(&self, text: &mut Vec<u8>) -> Option<(u64, u64)> {
        let poisoned = PoisonError::into_inner;
        let idle = |pending: &mut Pending| pending.text.is_empty() && !pending.ending;
        let mut pending = self.changed.wait_while(self.pending(), idle).unwrap_or_else(poisoned);
        let few = |pending: &mut Pending| pending.text.len() < ENOUGH && !pending.ending;
        pending = match self.changed.wait_timeout_while(pending, GATHERING, few) {
            Ok((pending, _)) => pending,
            Err(error) => error.into_inner().0,
        };
        if pending.text.is_empty() {
            pending.ended = true;
            self.changed.notify_all();
            return None;
        }
        std::mem::swap(&mut pending.text, text);
        Some((std::mem::take(&mut pending.lines), std::mem::take(&mut pending.dropped)))
    }

    fn end(&self) -> MutexGuard<'_, Pending> {
        let mut pending = self.pending();
        pending.ending = true;
        self.changed.notify_all();
        pending
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, opened anew when its path leads elsewhere; or standard output.
struct Out {
    path: Option<PathBuf>,
    log: Option<LogFile>,
    failing: bool,
}

impl Out {
    fn open(to: &AccessLogTo) -> Result<Self, String> {
        let path = match to {
            AccessLogTo::Stdout => None,
            AccessLogTo::File(path) => Some(path.clone()),
        };
        let open = |path: &Path| {
            LogFile::open(path)
                .map_err(|error| format!("{} can't be opened: {error}", path.display()))
        };
        let log = path.as_deref().map(open).transpose()?;
        Ok(Self { path, log, failing: false })
    }

    /// Whether it was written. Says so in the log when that changes.
    fn write(&mut self, text: &[u8]) -> bool {
        let result = self.try_write(text);
        let failed = std::mem::replace(&mut self.failing, result.is_err());
        match &result {
            Err(error) if !failed => {
                let path = self.path.as_deref().unwrap_or(Path::new("standard output"));
                tracing::error!(path = %path.display(), %error, "the access log can't be written; its lines are dropped");
            }
            Ok(()) if failed => tracing::info!("the access log is written again"),
            _ => {}
        }
        result.is_ok()
    }

    fn try_write(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(path) = &self.path else {
            let mut out = io::stdout().lock();
            return out.write_all(text).and_then(|()| out.flush());
        };
        let log = match self.log.take().filter(|log| !log.is_elsewhere()) {
            Some(log) => log,
            None => LogFile::open(path)?,
        };
        self.log.insert(log).append(text)
    }
}

/// How long the first line of a batch waits for others.
const GATHERING: Duration = Duration::from_millis(100);
/// Bytes that are worth writing at once.
const ENOUGH: usize = 64 << 10;
/// Bytes that wait; further lines are dropped.
const AT_MOST: usize = 4 << 20;
const LAST_PATIENCE: Duration = Duration::from_secs(2);
