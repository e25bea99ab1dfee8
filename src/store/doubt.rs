//! A document of which the app may have other bytes than Transom.

use serde::{Deserialize, Serialize};

use super::{JobId, Provenance};

/// A writing request for the document reached the app, or its bytes were found changed there, and what the app
/// has now is not known.
///
/// Until the app has been looked at again, no session shows the bytes of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Doubt {
    /// Unix milliseconds.
    pub since: u64,
    /// The end of the writing request has not been seen, so that it may still be at work in the app.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Tells this mark from others of the same document, so that a write takes back its own only.
    pub mark: u64,
    /// Bytes that the app may have accepted; they count if it is found to have just these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<Box<Unconfirmed>>,
}

/// A captured upload that waits for a look at the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unconfirmed {
    /// The journal's entry that holds the bytes.
    pub job: JobId,
    /// What the upload told of itself.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
}

impl Doubt {
    pub(crate) fn new(since: u64, mark: u64) -> Self {
        Self { since, open: false, mark, unconfirmed: None }
    }
}
