//! What a backend gives for a viewer: a token, and what it permits.

use http::HeaderValue;
use secrecy::SecretString;

/// A set of DWS permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Permissions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) download: bool,
}

impl Permissions {
    /// The names that DWS knows, in a fixed order.
    pub(crate) fn names(self) -> Vec<&'static str> {
        [(self.read, "read"), (self.write, "write"), (self.download, "download")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect()
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            download: self.download || other.download,
        }
    }
}

/// A session that was read back and is no wider than asked.
#[derive(Debug, Clone)]
pub(crate) struct SessionToken {
    pub(crate) jwt: SecretString,
    /// The same, ready to be sent; marked as sensitive, so that it is never shown.
    pub(crate) header: HeaderValue,
    pub(crate) document_id: String,
    /// Unix seconds, as the token says.
    pub(crate) expires: u64,
    pub(crate) permissions: Permissions,
    /// Where its viewer connects to, for the viewer page's policy.
    pub(crate) server_url: Option<String>,
}
