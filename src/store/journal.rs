//! What is still to be told to DWS.

use serde::{Deserialize, Serialize};

use super::{DocId, Sent};
use crate::document::DocumentKey;
use crate::reason::Reason;

/// Names a journal entry; later ones are greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct JobId(pub u64);

/// Something that is still to be told to DWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The document that it is for, whatever its names are by now. It may be gone.
    pub document: DocId,
    /// What is to be done.
    pub task: Task,
    /// How far it is.
    pub progress: Progress,
    /// Attempts made so far.
    pub attempts: u32,
    /// Unix milliseconds.
    pub created_at: u64,
    /// What the last attempt ended with, bounded and without secrets.
    pub last_error: Option<String>,
    /// How often it has been claimed. What was begun under an earlier claim can't end the job any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u64,
    /// Until when the claim holds, in Unix milliseconds, while it is `Sending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<u64>,
    /// How an upload was sent last. `None` before the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is to be done at DWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Store the spooled bytes and mark the document ready.
    Upload {
        /// The name by which the bytes came, for the operator.
        key: DocumentKey,
        /// Name of the file in the spool.
        spool: String,
        /// File name given by the uploader.
        title: Option<String>,
        /// By sniffed content.
        content_type: String,
        /// Bytes.
        size: u64,
        /// Hex.
        sha256: String,
    },
    /// Remove a document that nothing refers to any more.
    Remove {
        /// DWS's id.
        document_id: String,
        /// A name that it had, for the operator.
        key: DocumentKey,
    },
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Progress {
    /// To be tried at this time (Unix milliseconds) or later.
    Due {
        /// Unix milliseconds.
        at: u64,
    },
    /// An attempt is being made; found at start-up, its outcome is unknown.
    Sending,
    /// The app's reply proved little; a look at the app decides whether it is sent at all.
    Unconfirmed,
    /// DWS refused the document. Its bytes are kept until this time, in Unix milliseconds, for another try.
    Refused {
        /// Unix milliseconds.
        until: u64,
    },
    /// Waits for the operator.
    Parked {
        /// `outcome_unknown`, `spool_lost` or `delivery_refused`.
        reason: Reason,
    },
}

impl Job {
    /// One that is due at once.
    #[must_use]
    pub fn new(id: JobId, document: DocId, task: Task, now: u64) -> Self {
        Self {
            id,
            document,
            task,
            progress: Progress::Due { at: now },
            attempts: 0,
            created_at: now,
            last_error: None,
            fence: 0,
            leased_until: None,
            sent: None,
        }
    }

    /// A removal that is due at once.
    pub(crate) fn remove(
        id: JobId,
        document: DocId,
        key: DocumentKey,
        document_id: String,
        now: u64,
    ) -> Self {
        Self::new(id, document, Task::Remove { document_id, key }, now)
    }

    /// The same under a new claim, for [`DocumentStore::claim`](super::DocumentStore::claim).
    #[must_use]
    pub fn claimed(&self, until: u64) -> Self {
        Self {
            progress: Progress::Sending,
            attempts: self.attempts.saturating_add(1),
            fence: self.fence.saturating_add(1),
            leased_until: Some(until),
            ..self.clone()
        }
    }

    /// The same after an attempt, for [`DocumentStore::finish`](super::DocumentStore::finish).
    #[must_use]
    pub fn released(&self, progress: Progress) -> Self {
        Self { progress, leased_until: None, ..self.clone() }
    }

    /// Whether its document may be at DWS already, so that it is to be looked for.
    pub(crate) fn is_unclear(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.unclear)
    }

    /// Whether it has been sent without a clear end, whatever was found since: it may still arrive.
    pub(crate) fn may_arrive(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.unclear || sent.settlements > 0)
    }

    /// The same, as an upload that may or may not have been stored.
    pub(crate) fn unclear(&self) -> Self {
        let former = || Sent { since: self.created_at, ..Sent::default() };
        let sent = self.sent.clone().unwrap_or_else(former);
        let sent = Sent { unclear: true, absent_since: None, candidates: Vec::new(), ..sent };
        Self { sent: Some(sent), ..self.clone() }
    }

    /// A name of its document, for the operator.
    pub(crate) fn key(&self) -> &DocumentKey {
        match &self.task {
            Task::Upload { key, .. } | Task::Remove { key, .. } => key,
        }
    }

    /// The file it needs in the spool.
    pub(crate) fn spool(&self) -> Option<&str> {
        match &self.task {
            Task::Upload { spool, .. } => Some(spool),
            Task::Remove { .. } => None,
        }
    }
}
