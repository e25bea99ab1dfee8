//! Which of the sandbox's addresses a request means.

use http::Method;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Upload,
    List,
    Session,
    Token,
    Delete(String),
    Properties(String),
    Pdf(String),
    /// `POST /i/d/{id}/auth` and its preflight.
    Auth(String),
    /// What the stand-in viewer shows, and its preflight.
    Content(String),
    Sdk,
    /// The path below `/control/`.
    Control(String),
    Home,
    Unknown,
}

/// A route as fault rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RouteName {
    Upload,
    Session,
    Token,
    List,
    Delete,
    Auth,
    Any,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let id = |id: &str| percent_decode_str(id).decode_utf8_lossy().into_owned();
        match (method.as_str(), segments.as_slice()) {
            ("POST", ["viewer", "documents"]) => Self::Upload,
            ("GET", ["viewer", "documents"]) => Self::List,
            ("POST", ["viewer", "sessions"]) => Self::Session,
            ("POST", ["viewer", "tokens"]) => Self::Token,
            ("DELETE", ["viewer", "documents", document]) => Self::Delete(id(document)),
            ("GET", ["viewer", "documents", document, "properties" | "document_info"]) => {
                Self::Properties(id(document))
            }
            ("GET", ["viewer", "documents", document, "pdf"]) => Self::Pdf(id(document)),
            ("POST" | "OPTIONS", ["i", "d", document, "auth"]) => Self::Auth(id(document)),
            ("GET" | "OPTIONS", ["sandbox", "content", document]) => Self::Content(id(document)),
            ("GET" | "HEAD", ["nutrient-viewer.js"]) => Self::Sdk,
            (_, ["control", rest @ ..]) => Self::Control(rest.join("/")),
            ("GET", [""]) => Self::Home,
            _ => Self::Unknown,
        }
    }

    pub(super) fn name(&self) -> RouteName {
        match self {
            Self::Upload => RouteName::Upload,
            Self::List => RouteName::List,
            Self::Session => RouteName::Session,
            Self::Token => RouteName::Token,
            Self::Delete(_) => RouteName::Delete,
            Self::Auth(_) => RouteName::Auth,
            _ => RouteName::Any,
        }
    }

    /// Whether the API key must have the right to write.
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Upload | Self::Session | Self::Token | Self::Delete(_))
    }
}
