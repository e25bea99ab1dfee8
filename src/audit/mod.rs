//! A record of every session that leaves Transom, in a file whose lines vouch for those before them.
//!
//! A line is on file before its session is handed out; where none can be written, no session is given. So it is no
//! listener of events: those hear of what has happened, nothing waits for them, and none of them can refuse a session. How the
//! record itself fares is told as events.

mod chain;
mod entry;
mod tail;
#[cfg(all(test, feature = "cli"))]
mod tests;
#[cfg(feature = "cli")]
mod verify;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

use crate::config::AuditConfig;
use crate::events::Events;
use crate::reason::{Because, Reason};

#[cfg(feature = "cli")]
pub(crate) use chain::{MAX_LINE, Seal, unhex};
pub(crate) use entry::{Entry, Who, token_hash};
#[cfg(feature = "cli")]
pub(crate) use verify::{Verdict, Verifier};

use writer::{Job, Writer};

/// The open record. Cheap to clone; the file is closed when the last clone is gone.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    jobs: SyncSender<Job>,
    state: Arc<State>,
    every_hand_out: bool,
    /// Makes pseudonyms of callers.
    callers: Arc<hmac::Key>,
}

/// How the writer is, for those who ask.
#[derive(Debug, Default)]
struct State {
    failing: AtomicBool,
    /// A write has taken longer than anybody waits.
    stuck: AtomicBool,
}

impl Audit {
    /// Opens the file and finds the end of its chain.
    ///
    /// # Errors
    /// A sentence for the operator: the file can't be opened, another process writes it, or it is something else.
    pub(crate) fn start(config: &AuditConfig, events: Events) -> Result<Self, String> {
        let key = config.key.as_ref().map(|key| key.expose_secret().as_bytes());
        let state = Arc::new(State::default());
        let writer = Writer::open(&config.path, key, config.sync, Arc::clone(&state), events)?;
        let (jobs, received) = sync_channel(MAX_WAITING);
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(|error| format!("no thread can be had for the audit log: {error}"))?;
        let random: [u8; 32] = crate::random::bytes();
        let callers = hmac::Key::new(hmac::HMAC_SHA256, key.unwrap_or(&random));
        Ok(Self { jobs, state, every_hand_out: config.every_hand_out, callers: Arc::new(callers) })
    }

    /// Whether handing a session out once more is worth a line.
    pub(crate) fn wants_every_hand_out(&self) -> bool {
        self.every_hand_out
    }

    /// Comes back once the line is on file.
    ///
    /// # Errors
    /// `audit_failed`: it is not, or not within a moment, or could not be a line at all.
    pub(crate) async fn record(&self, entry: &Entry<'_>) -> Result<(), Reason> {
        self.check()?;
        let members = entry.members().ok_or(Reason::AuditFailed)?;
        let (reply, written) = oneshot::channel();
        let queued = self.jobs.try_send(Job { members, reply });
        queued.because(Reason::AuditFailed, "queueing a line of the audit log")?;
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(Reason::AuditFailed),
            Err(_) => {
                self.state.stuck.store(true, Ordering::Relaxed);
                Err(Reason::AuditFailed)
            }
        }
    }

    /// Whether lines can be written, as far as is known. The writer tries again by itself.
    ///
    /// # Errors
    /// `audit_failed`.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let trouble = [&self.state.failing, &self.state.stuck];
        match trouble.iter().any(|trouble| trouble.load(Ordering::Relaxed)) {
            true => Err(Reason::AuditFailed),
            false => Ok(()),
        }
    }

    /// The same credentials have the same pseudonym, and nobody can try out credentials on it: it takes the
    /// key, or one that ends with this process.
    pub(crate) fn pseudonym(&self, credentials: &[u8; 32]) -> String {
        let tag = hmac::sign(&self.callers, &[b"caller ".as_slice(), credentials].concat());
        chain::hex(tag.as_ref().get(..16).unwrap_or_default())
    }
}

fn names(path: &Path, what: &str, why: impl std::fmt::Display) -> String {
    format!("the audit log {} {what}: {why}", path.display())
}

/// How long a hand-out waits for its line.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines that wait to be written.
const MAX_WAITING: usize = 1024;
