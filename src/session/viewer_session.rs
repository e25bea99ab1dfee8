//! What a handler behind the layer gets to see.

use std::fmt;

use secrecy::ExposeSecret;

use super::Session;
use crate::document::DocumentKey;

/// The caller's session for the document of this request, as a request extension.
///
/// It is there on view routes whose `session` names a `request_header`, when the caller may view the
/// document. The token is a secret: put it into a reply to this caller, and nowhere else.
#[derive(Clone)]
pub struct ViewerSession {
    session: std::sync::Arc<Session>,
    document: DocumentKey,
}

impl ViewerSession {
    pub(crate) fn new(session: std::sync::Arc<Session>, document: DocumentKey) -> Self {
        Self { session, document }
    }

    /// The JWT for `NutrientViewer.load({ session })`.
    #[must_use]
    pub fn token(&self) -> &str {
        self.session.token.jwt.expose_secret()
    }

    /// The app's name for the document.
    #[must_use]
    pub fn document(&self) -> &DocumentKey {
        &self.document
    }

    /// DWS's name for the document.
    #[must_use]
    pub fn document_id(&self) -> &str {
        &self.session.token.document_id
    }

    /// The end of the session, in Unix seconds.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.session.token.expires
    }

    /// `read`, `write`, `download`.
    #[must_use]
    pub fn permissions(&self) -> Vec<&'static str> {
        self.session.token.permissions.names()
    }
}

impl fmt::Debug for ViewerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewerSession")
            .field("document", &self.document)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
