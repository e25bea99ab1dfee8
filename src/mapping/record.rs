//! One app document and where it is at DWS.

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::document::DocumentKey;

/// What Transom knows of one app document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The app's name for it.
    pub key: DocumentKey,
    /// Where it is on its way.
    pub state: MappingState,
    /// Changes with every write; a batch can insist on it.
    pub revision: u64,
    /// The original file name.
    pub title: Option<String>,
    /// By sniffed content.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// Of the captured bytes, in hex.
    pub sha256: String,
    /// When the first bytes for this id came by, in Unix milliseconds.
    pub created_at: u64,
    /// The last change, in Unix milliseconds.
    pub updated_at: u64,
}

/// Where a document is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MappingState {
    /// The journal holds bytes that DWS does not have yet. `previous` is what a replacement will
    /// retire.
    Pending {
        /// The journal's entry that will deliver it.
        job: JobId,
        /// The DWS document of the bytes before these.
        previous: Option<String>,
    },
    /// DWS has it.
    Ready {
        /// DWS's name for it.
        document_id: String,
    },
    /// DWS refused it for good.
    Refused {
        /// DWS's words, bounded and without secrets.
        detail: String,
    },
}

impl Mapping {
    /// The journal entry whose bytes this mapping waits for.
    pub(crate) fn pending_job(&self) -> Option<JobId> {
        match self.state {
            MappingState::Pending { job, .. } => Some(job),
            _ => None,
        }
    }

    /// The DWS document that this mapping answers for: its own, or the one that its pending bytes
    /// will retire.
    pub(crate) fn held_document(&self) -> Option<&str> {
        match &self.state {
            MappingState::Pending { previous, .. } => previous.as_deref(),
            MappingState::Ready { document_id } => Some(document_id),
            MappingState::Refused { .. } => None,
        }
    }
}
