//! A job as operators see it, in JSON and in tables.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::store::{Job, Progress, Task};

/// One job. The field names are a contract of their own, apart from how jobs rest on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobLine {
    /// The job's number.
    pub(crate) id: u64,
    /// `upload` or `remove`.
    pub(crate) task: String,
    /// `due`, `sending`, `parked`, or `unconfirmed`: a look at the app decides whether it is sent.
    pub(crate) state: String,
    /// Why it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) kind: String,
    /// The tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The app's id, as text.
    pub(crate) document: String,
    /// DWS's id of what is to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    pub(crate) attempts: u32,
    /// Unix milliseconds, as all times.
    pub(crate) created_at: u64,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
}

impl From<&Job> for JobLine {
    fn from(job: &Job) -> Self {
        let (state, due_at, reason) = match &job.progress {
            Progress::Due { at } => ("due", Some(*at), None),
            Progress::Sending => ("sending", None, None),
            Progress::Unconfirmed => ("unconfirmed", None, None),
            Progress::Refused { .. } => ("refused", None, Some(Reason::DeliveryRefused)),
            Progress::Parked { reason } => ("parked", None, Some(*reason)),
        };
        let key = job.key();
        let line = Self {
            id: job.id.0,
            task: String::new(),
            state: state.to_owned(),
            reason: reason.map(Reason::code).map(str::to_owned),
            kind: key.kind().to_owned(),
            host: key.host().map(str::to_owned),
            document: key.id().to_owned(),
            document_id: None,
            title: None,
            content_type: None,
            size: None,
            sha256: None,
            attempts: job.attempts,
            created_at: job.created_at,
            due_at,
            last_error: job.last_error.clone(),
        };
        match &job.task {
            Task::Upload { title, content_type, size, sha256, .. } => Self {
                task: "upload".to_owned(),
                title: title.clone(),
                content_type: Some(content_type.clone()),
                size: Some(*size),
                sha256: Some(sha256.clone()),
                ..line
            },
            Task::Remove { document_id, .. } => {
                Self { task: "remove".to_owned(), document_id: Some(document_id.clone()), ..line }
            }
        }
    }
}
