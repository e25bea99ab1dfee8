//! One app document and where it is at DWS.

use serde::{Deserialize, Serialize};

use super::{JobId, Provenance};
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
    /// Where it comes from. Empty in records that are older than this field.
    #[serde(default)]
    pub provenance: Provenance,
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
    /// DWS had it and has it no longer. New bytes make it pending again.
    Lost {
        /// DWS's name for what is gone.
        document_id: String,
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
            // Removed even then: should DWS have been mistaken, there must not be two.
            MappingState::Ready { document_id } | MappingState::Lost { document_id } => {
                Some(document_id)
            }
            MappingState::Refused { .. } => None,
        }
    }
}

impl MappingState {
    /// The DWS document that is gone.
    pub(crate) fn lost_document(&self) -> Option<&str> {
        match self {
            Self::Lost { document_id } => Some(document_id),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_older_than_the_provenance_are_read() {
        let old = r#"{"key":{"kind":"files","id":"1"},"state":{"state":"ready","document_id":"D"},
            "revision":1,"title":null,"content_type":"application/pdf","size":1,"sha256":"",
            "created_at":1,"updated_at":2}"#;
        let read: Mapping = serde_json::from_str(old).unwrap();
        assert!(read.provenance.is_empty());
    }
}
