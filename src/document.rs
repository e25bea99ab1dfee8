//! The app's name for a document.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A kind of document (`[documents.<kind>]`) and the app's own id within it.
///
/// The id is opaque: it is kept as the app wrote it, percent-decoded once, and may hold slashes. Where tenants are told
/// apart by host (`per_host`), the host is a part of the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DocumentKey {
    #[serde(with = "shared_text")]
    kind: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    id: String,
}

impl DocumentKey {
    /// A key from a configured kind and an id that came from outside.
    ///
    /// # Errors
    /// Refuses an id that is empty, longer than 1,024 bytes, holds control characters, or has `.`
    /// or `..` as one of its segments (split at `/` and `\`): such an id could be read as another
    /// document's by the app or in an address.
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<String>) -> Result<Self, InvalidId> {
        let (kind, id) = (kind.into(), id.into());
        let dots = || id.split(['/', '\\']).any(|segment| segment == "." || segment == "..");
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) || dots() {
            return Err(InvalidId);
        }
        Ok(Self { kind, host: None, id })
    }

    /// The document of this tenant: `host` is a name in lower case, without a port that goes without saying.
    ///
    /// # Errors
    /// Refuses a host that is empty, longer than 255 bytes, or holds anything but letters, digits, `-`, `.`, `:`, `_`
    /// and brackets.
    pub fn at_host(self, host: impl Into<String>) -> Result<Self, InvalidId> {
        let host = host.into();
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte)
        };
        if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.bytes().all(fits) {
            return Err(InvalidId);
        }
        Ok(Self { host: Some(host), ..self })
    }

    /// Another document of the same kind and tenant.
    pub(crate) fn sibling(&self, id: impl Into<String>) -> Result<Self, InvalidId> {
        Ok(Self { host: self.host.clone(), ..Self::new(self.kind.clone(), id)? })
    }

    /// Whether its id begins with that of `folder`, in the same kind and tenant.
    pub(crate) fn is_below(&self, folder: &Self) -> bool {
        self.kind == folder.kind && self.host == folder.host && self.id.starts_with(&folder.id)
    }

    /// The name under `[documents]`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The tenant's host, where documents belong to one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The app's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{}/{}@{host}", self.kind, self.id),
            None => write!(f, "{}/{}", self.kind, self.id),
        }
    }
}

/// By kind, then those of tenants by host, then by id: the order in which stores keep them.
impl Ord for DocumentKey {
    fn cmp(&self, other: &Self) -> Ordering {
        fn parts(key: &DocumentKey) -> (&str, bool, Option<&str>, &str) {
            (&key.kind, key.host.is_none(), key.host.as_deref(), &key.id)
        }
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for DocumentKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The name of a kind is shared with the configuration, since every view makes a key.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Into::into)
    }
}

/// An id that no document can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a document id: empty, over 1,024 bytes, control characters, or dot segments")]
#[non_exhaustive]
pub struct InvalidId;

const MAX_ID_BYTES: usize = 1024;
/// RFC 1035, section 2.3.4.
const MAX_HOST_BYTES: usize = 255;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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

    #[test]
    fn a_tenant_s_document_is_another_one() {
        let plain = DocumentKey::new("files", "7").unwrap();
        let tenant = plain.clone().at_host("a.example").unwrap();
        assert_ne!(plain, tenant);
        assert_eq!(tenant.to_string(), "files/7@a.example");
        assert_eq!(tenant.sibling("8").unwrap().host(), Some("a.example"));
        assert!(plain.clone().at_host("").is_err() && plain.clone().at_host("a b").is_err());
        // As records rest in stores that were written before.
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"kind":"files","id":"7"}"#);
        let read: DocumentKey = serde_json::from_str(r#"{"kind":"files","id":"7"}"#).unwrap();
        assert_eq!(read, plain);
        let text = serde_json::to_string(&tenant).unwrap();
        assert_eq!(serde_json::from_str::<DocumentKey>(&text).unwrap(), tenant);
    }
}
