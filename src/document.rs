//! The app's name for a document.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of document (`[documents.<kind>]`) and the app's own id within it.
///
/// The id is opaque: it is kept as the app wrote it, percent-decoded once, and may hold slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentKey {
    kind: String,
    id: String,
}

impl DocumentKey {
    /// A key from a configured kind and an id that came from outside.
    ///
    /// # Errors
    /// Refuses an id that is empty, longer than 1,024 bytes, holds control characters, or has `.`
    /// or `..` as one of its segments (split at `/` and `\`): such an id could be read as another
    /// document's by the app or in an address.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Result<Self, InvalidId> {
        let (kind, id) = (kind.into(), id.into());
        let dots = || id.split(['/', '\\']).any(|segment| segment == "." || segment == "..");
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) || dots() {
            return Err(InvalidId);
        }
        Ok(Self { kind, id })
    }

    /// The name under `[documents]`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The app's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// An id that no document can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a document id: empty, over 1,024 bytes, control characters, or dot segments")]
pub struct InvalidId;

const MAX_ID_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_hold_anything_that_can_not_be_mistaken() {
        for id in ["7", "a/b", "Übung 1", "..a", "a..", "%2e%2e"] {
            assert!(DocumentKey::new("files", id).is_ok(), "{id:?}");
        }
        for id in ["", ".", "..", "a/../b", "a\\..\\b", "a\nb", "a\0b", &"x".repeat(1025)] {
            assert_eq!(DocumentKey::new("files", id), Err(InvalidId), "{id:?}");
        }
    }
}
