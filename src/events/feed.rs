//! What happens, for those who watch a running Transom.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::{AuditEvent, Event, JobEvent, JobRef, Listener, Origin, ParkedBy};
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::telemetry::{OutboxFigures, Rfc3339};

/// Keeps the last events for its readers. Without a reader, an event costs one relaxed load.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

struct Shared {
    readers: AtomicUsize,
    entries: Sender<Arc<Entry>>,
}

/// Hears of each event since it subscribed. Events never wait for it.
pub(crate) struct Reader {
    feed: Feed,
    entries: Receiver<Arc<Entry>>,
}

/// What a reader is told next.
pub(crate) enum Told {
    Entry(Arc<Entry>),
    /// So many entries were given up before it read them.
    Lost(u64),
}

/// An event as its readers get it. No query of a request, no token and no session is in it. Member names are a contract.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Entry {
    pub(crate) time: Rfc3339,
    pub(crate) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Reason>,
    /// The document's kind, tenant and id in the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The backend's.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<String>,
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What the app answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// The job's number, as in `transom outbox list`, and whether it uploads or removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// Of the outbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<&'static str>,
    /// Until the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Jobs>,
    /// Of the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Jobs {
    due: u64,
    sending: u64,
    parked: u64,
}

impl Feed {
    /// `None`: there are too many readers.
    pub(crate) fn subscribe(&self) -> Option<Reader> {
        let one_more = |readers: usize| (readers < MAX_READERS).then_some(readers + 1);
        self.0.readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Reader { feed: self.clone(), entries: self.0.entries.subscribe() })
    }
}

impl Default for Feed {
    fn default() -> Self {
        let (entries, _) = broadcast::channel(CAPACITY);
        Self(Arc::new(Shared { readers: AtomicUsize::new(0), entries }))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("readers", &self.0.readers).finish()
    }
}

impl Listener for Feed {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        if self.0.readers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let send = |event: &Event<'_>| {
            // It fails when the last reader has just gone.
            let _ = self.0.entries.send(Arc::new(Entry::of(event, origin)));
        };
        match *event {
            Event::InDoubt { documents, status } => documents
                .iter()
                .for_each(|document| send(&Event::InDoubt { documents: &[*document], status })),
            _ => send(event),
        }
    }
}

impl Reader {
    /// Waits for the next entry. `None`: there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        match self.entries.recv().await {
            Ok(entry) => Some(Told::Entry(entry)),
            Err(RecvError::Lagged(lost)) => Some(Told::Lost(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Entry {
    fn of(event: &Event<'_>, origin: &Origin<'_>) -> Self {
        let outcome = event.outcome();
        let request_id = Some(origin.request_id()).filter(|id| *id != "-").map(bounded);
        let entry = Self {
            time: Rfc3339::now(),
            event: event.name(),
            step: outcome.map(|(step, _)| step.name()),
            code: outcome.map(|(_, reason)| reason),
            request_id,
            ..Self::default()
        };
        match *event {
            Event::Captured { document, bytes, .. } => {
                Self { bytes: Some(bytes), ..entry.about(document) }
            }
            Event::Journalled { bytes } => Self { bytes: Some(bytes), ..entry },
            Event::Confirmed { document, .. }
            | Event::Refuted { document, .. }
            | Event::FileRefused { document, .. }
            | Event::Deleted { document, .. }
            | Event::Fetched { document, .. } => entry.about(document),
            Event::NotCaptured { path, status, .. } => {
                Self { path: Some(bounded(path)), status: Some(status), ..entry }
            }
            Event::InDoubt { documents, status } => {
                let entry = Self { status: Some(status), ..entry };
                match documents.first() {
                    Some(document) => entry.about(document),
                    None => entry,
                }
            }
            Event::PassedOn { path, .. } => Self { path: Some(bounded(path)), ..entry },
            #[cfg(feature = "cli")]
            Event::Refused { reason, .. } => Self { code: Some(reason), ..entry },
            Event::NotAddressed { reason } => Self { code: Some(reason), ..entry },
            Event::SessionDecided { document: Some(document), .. } => entry.about(document),
            Event::SessionDecided { document: None, .. } | Event::AwaitsLook { .. } => entry,
            Event::Job { job, what } => entry.of_job(&job, what),
            Event::DocumentLost { document, document_id }
            | Event::DocumentFound { document, document_id } => {
                Self { document_id: Some(document_id.to_owned()), ..entry.about(document) }
            }
            Event::BreakerOpened { lane, rests, .. } => {
                Self { lane: Some(lane), wait_ms: Some(millis(rests)), ..entry }
            }
            Event::BreakerClosed { lane } => Self { lane: Some(lane), ..entry },
            Event::JobsCounted(&OutboxFigures { due, sending, parked, .. }) => {
                Self { jobs: Some(Jobs { due, sending, parked }), ..entry }
            }
            Event::Audit(AuditEvent::Failed { error }) => {
                Self { code: Some(Reason::AuditFailed), error: Some(bounded(error)), ..entry }
            }
            Event::Audit(AuditEvent::Lines { lines, .. }) => Self { lines: Some(lines), ..entry },
            Event::Audit(AuditEvent::Begins { .. } | AuditEvent::Mended { .. }) => entry,
            Event::StoreFailed { error, .. } => {
                let code = Some(Reason::StoreUnavailable);
                Self { code, error: Some(bounded(&error.to_string())), ..entry }
            }
        }
    }

    fn about(self, document: &DocumentKey) -> Self {
        Self {
            kind: Some(document.kind().to_owned()),
            host: document.host().map(str::to_owned),
            id: Some(document.id().to_owned()),
            ..self
        }
    }

    fn of_job(self, job: &JobRef<'_>, what: JobEvent<'_>) -> Self {
        let (number, attempts) = (Some(job.id), Some(job.attempts));
        let entry =
            Self { job: number, job_kind: Some(job.kind), attempts, ..self.about(job.document) };
        let error = |error| Some(bounded(error));
        match what {
            JobEvent::Done { document_id, .. } => {
                Self { document_id: Some(document_id.to_owned()), ..entry }
            }
            JobEvent::Unclear { error: told } => Self { error: error(told), ..entry },
            JobEvent::Refused { detail, .. } => Self { error: error(detail), ..entry },
            JobEvent::Retried { after, error: told } => {
                Self { wait_ms: Some(millis(after)), error: error(told), ..entry }
            }
            JobEvent::Parked {
                by: ParkedBy::Spool { error: told } | ParkedBy::Attempt { error: told },
                ..
            } => Self { error: error(told), ..entry },
            JobEvent::Queued | JobEvent::Dropped { .. } | JobEvent::Absent | JobEvent::Fenced => {
                entry
            }
        }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Entries that a reader may be behind.
const CAPACITY: usize = 256;
const MAX_READERS: usize = 16;
/// Characters of a text that a peer chose.
const MAX_TEXT: usize = 300;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::reason::Step;

    fn told(feed: &Feed, status: u16) {
        let (step, reason) = (Step::Capture, Reason::NotAccepted);
        let event = Event::NotCaptured {
            step,
            reason,
            path: "/api/files",
            status,
            doubtful: false,
            is_expected: false,
        };
        feed.hear(&event, &Origin::default());
    }

    #[tokio::test]
    async fn a_reader_gets_what_happens_while_it_is_there() {
        let feed = Feed::default();
        told(&feed, 401);
        let mut reader = feed.subscribe().unwrap();
        told(&feed, 403);
        let Some(Told::Entry(entry)) = reader.next().await else { panic!() };
        let entry = serde_json::to_value(&*entry).unwrap();
        assert!(entry["time"].is_string());
        let rest = serde_json::json!({
            "time": entry["time"], "event": "not_captured", "step": "capture", "code": "not_accepted",
            "path": "/api/files", "status": 403,
        });
        assert_eq!(entry, rest);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_lost_and_holds_up_nobody() {
        let feed = Feed::default();
        let mut reader = feed.subscribe().unwrap();
        for _ in 0..CAPACITY + 44 {
            told(&feed, 403);
        }
        assert!(matches!(reader.next().await, Some(Told::Lost(44))));
        for _ in 0..CAPACITY {
            assert!(matches!(reader.next().await, Some(Told::Entry(_))));
        }
    }

    #[test]
    fn readers_are_bounded_and_make_room_when_they_go() {
        let feed = Feed::default();
        let readers: Vec<_> = (0..MAX_READERS).map(|_| feed.subscribe().unwrap()).collect();
        assert!(feed.subscribe().is_none());
        drop(readers);
        assert!(feed.subscribe().is_some());
        assert_eq!(feed.0.readers.load(Ordering::Relaxed), 0);
    }
}
