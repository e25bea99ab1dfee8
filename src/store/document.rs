//! A document, the names by which the app knows it, and where it is at DWS.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Doubt, JobId, Provenance, Validators};
use crate::document::DocumentKey;

/// Names a document for as long as Transom knows it, whatever the app calls it meanwhile.
///
/// 128 random bits, so that it needs no counter, and stores can be joined. Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DocId(u128);

impl DocId {
    /// One that no other document has.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::random::u128())
    }

    /// As stores keep it.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocId({self})")
    }
}

impl From<DocId> for String {
    fn from(id: DocId) -> Self {
        id.to_string()
    }
}

impl FromStr for DocId {
    type Err = InvalidDocId;

    fn from_str(text: &str) -> Result<Self, InvalidDocId> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or(InvalidDocId)
    }
}

impl TryFrom<String> for DocId {
    type Error = InvalidDocId;

    fn try_from(text: String) -> Result<Self, InvalidDocId> {
        text.parse()
    }
}

/// Not 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a document's own id has 32 hex digits")]
#[non_exhaustive]
pub struct InvalidDocId;

/// What Transom knows of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Document {
    /// Its own name, which never changes.
    pub id: DocId,
    /// The app's names for it, the oldest first. No two documents share one; a document without any goes.
    pub names: Vec<DocumentKey>,
    /// Where it is on its way.
    pub state: DocumentState,
    /// Changes with every write, be it of its names; a batch can insist on it.
    pub revision: u64,
    /// The original file name.
    pub title: Option<String>,
    /// By sniffed content.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// Of the captured bytes, in hex.
    pub sha256: String,
    /// When the first bytes for it came by, in Unix milliseconds.
    pub created_at: u64,
    /// The last change, in Unix milliseconds.
    pub updated_at: u64,
    /// The backend that has it, where there are several; `None` is the one of `[dws]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Whose it is, where tenants are told apart: the host of its first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
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

/// A document, found by one of its names. Reads as the document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// The name.
    pub key: DocumentKey,
    /// What it points at.
    pub document: Document,
}

impl Mapping {
    /// `document`, as found by `key`.
    #[must_use]
    pub fn new(key: DocumentKey, document: Document) -> Self {
        Self { key, document }
    }
}

impl Deref for Mapping {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

/// Where a document is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DocumentState {
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

impl Document {
    /// A document that is new to Transom, without facts but its name and state.
    #[must_use]
    pub fn new(name: DocumentKey, state: DocumentState, now: u64) -> Self {
        Self {
            id: DocId::random(),
            tenant: name.host().map(str::to_owned),
            names: vec![name],
            state,
            revision: 0,
            title: None,
            content_type: String::new(),
            size: 0,
            sha256: String::new(),
            created_at: now,
            updated_at: now,
            backend: None,
            provenance: Provenance::default(),
            captured_by: JobId(0),
            validators: Validators::default(),
            doubt: None,
        }
    }

    /// The journal entry whose bytes it waits for.
    pub(crate) fn pending_job(&self) -> Option<JobId> {
        match self.state {
            DocumentState::Pending { job, .. } => Some(job),
            _ => None,
        }
    }

    /// The DWS document that it answers for: its own, or the one that its pending bytes
    /// will retire.
    pub(crate) fn held_document(&self) -> Option<&str> {
        match &self.state {
            DocumentState::Pending { previous, .. } => previous.as_deref(),
            // Removed even then: should DWS have been mistaken, there must not be two.
            DocumentState::Ready { document_id } | DocumentState::Lost { document_id } => {
                Some(document_id)
            }
            DocumentState::Refused { .. } | DocumentState::Unconfirmed { .. } => None,
        }
    }

    /// The journal entry whose bytes count only if a look at the app confirms them.
    pub(crate) fn unconfirmed_job(&self) -> Option<JobId> {
        match self.state {
            DocumentState::Unconfirmed { job } => Some(job),
            _ => self.doubt.as_ref()?.unconfirmed.as_ref().map(|unconfirmed| unconfirmed.job),
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
        !matches!(self.state, DocumentState::Unconfirmed { .. })
    }

    /// Whether sessions may be given for it without a look at the app or a wait for DWS.
    pub(crate) fn is_settled(&self) -> bool {
        let waits = matches!(
            self.state,
            DocumentState::Pending { .. }
                | DocumentState::Lost { .. }
                | DocumentState::Unconfirmed { .. }
        );
        !waits && self.doubt.is_none()
    }
}

impl DocumentState {
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
    fn a_record_without_later_fields_is_read() {
        let written = r#"{"id":"0123456789abcdef0123456789abcdef","names":[{"kind":"files","id":"1"}],
            "state":{"state":"ready","document_id":"D"},"revision":1,"title":null,
            "content_type":"application/pdf","size":1,"sha256":"","created_at":1,"updated_at":2}"#;
        let read: Document = serde_json::from_str(written).unwrap();
        assert!(read.provenance.is_empty() && read.validators.is_empty() && read.doubt.is_none());
        assert_eq!(read.id.to_string(), "0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = DocId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert_eq!(text.parse::<DocId>(), Err(InvalidDocId), "{text}");
        }
    }
}
