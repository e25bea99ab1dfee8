//! Where a document comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was known of an upload when it came by, so that later decisions need nothing from the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Provenance {
    /// Who uploaded it, if the upload carried a valid token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploader: Option<Uploader>,
    /// The route it came by: `POST /api/files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What the upload rule's `attributes` made of the upload.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// A user of one identity. The same name in two identities is two people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Uploader {
    /// Name of the `[[identity]]` that vouched for the token.
    pub identity: String,
    /// The token's user claim.
    pub user: String,
}

impl Uploader {
    /// The user whom this identity calls so.
    #[must_use]
    pub fn new(identity: impl Into<String>, user: impl Into<String>) -> Self {
        Self { identity: identity.into(), user: user.into() }
    }
}

impl Provenance {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// New bytes don't change whose document it is; they may change its attributes.
    pub(crate) fn after_replacement(mut self, by: Self) -> Self {
        self.attributes.extend(by.attributes);
        self
    }
}
