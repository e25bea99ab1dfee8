//! One app document and where it is at DWS.

use serde::{Deserialize, Serialize};

use super::{Doubt, JobId, Provenance, Validators};
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
    /// The journal's entry that brought these bytes; 0 in records that are older than this field.
    #[serde(default)]
    pub captured_by: JobId,
    /// What the app says of these bytes where it serves them.
    #[serde(default, skip_serializing_if = "Validators::is_empty")]
    pub validators: Validators,
    /// The app may have other bytes by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
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
    /// The app's reply to the first upload of this document proved little: a look at the app decides.
    Unconfirmed {
        /// The journal's entry that holds the bytes.
        job: JobId,
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
            MappingState::Refused { .. } | MappingState::Unconfirmed { .. } => None,
        }
    }

    /// The journal entry whose bytes count only if a look at the app confirms them.
    pub(crate) fn unconfirmed_job(&self) -> Option<JobId> {
        match self.state {
            MappingState::Unconfirmed { job } => Some(job),
            _ => self.doubt.as_ref()?.unconfirmed.as_ref().map(|unconfirmed| unconfirmed.job),
        }
    }

    /// The journal entry without which this mapping says nothing yet.
    pub(crate) fn waiting_job(&self) -> Option<JobId> {
        match self.state {
            MappingState::Unconfirmed { job } | MappingState::Pending { job, .. } => Some(job),
            _ => None,
        }
    }

    /// Tells one doubt from the next.
    pub(crate) fn mark(&self) -> Option<u64> {
        self.doubt.as_ref().map(|doubt| doubt.mark)
    }

    /// Whether both are of the same bytes and of the same doubt.
    pub(crate) fn is_same_version(&self, other: &Self) -> bool {
        (self.captured_by, self.mark()) == (other.captured_by, other.mark())
    }

    /// Whether the app is known to have had these bytes.
    pub(crate) fn is_document(&self) -> bool {
        !matches!(self.state, MappingState::Unconfirmed { .. })
    }

    /// Whether sessions may be given for it without a look at the app or a wait for DWS.
    pub(crate) fn is_settled(&self) -> bool {
        let waits = matches!(
            self.state,
            MappingState::Pending { .. }
                | MappingState::Lost { .. }
                | MappingState::Unconfirmed { .. }
        );
        !waits && self.doubt.is_none()
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
    fn records_of_earlier_versions_are_read() {
        let old = r#"{"key":{"kind":"files","id":"1"},"state":{"state":"ready","document_id":"D"},
            "revision":1,"title":null,"content_type":"application/pdf","size":1,"sha256":"",
            "created_at":1,"updated_at":2}"#;
        let read: Mapping = serde_json::from_str(old).unwrap();
        assert!(read.provenance.is_empty() && read.validators.is_empty() && read.doubt.is_none());
    }
}
