//! What is asked and answered, also by the admin listener.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// A document's id in the app, and the tenant's host where a kind has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Id {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

/// Documents to be looked up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Look {
    pub(crate) kind: String,
    pub(crate) ids: Vec<Id>,
}

/// How a document stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It has to be fetched.
    Unknown,
    /// It came by: it is at DWS, on its way, refused or parked.
    Known,
    /// No document can have this id; with the reason.
    Invalid(String),
}

/// A document to be fetched.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bring {
    pub(crate) kind: String,
    pub(crate) id: Id,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Brought {
    /// DWS has it.
    Ready { bytes: u64 },
    /// It is on its way: to be asked for again.
    Pending,
    Failed {
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

impl Brought {
    pub(super) fn failed(reason: Reason) -> Self {
        match reason {
            Reason::DocumentPending => Self::Pending,
            reason => Self::Failed { code: reason.code().to_owned(), detail: None },
        }
    }
}

/// A page of the app's list to be read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    pub(crate) kind: String,
    /// `None`: the first.
    #[serde(default)]
    pub(crate) place: Option<PageAt>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
}

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageAt {
    /// Path and query.
    pub(crate) target: String,
    /// From 1.
    pub(crate) number: u64,
}

/// What a page says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListPage {
    pub(crate) ids: Vec<Id>,
    pub(crate) next: Option<PageAt>,
}
