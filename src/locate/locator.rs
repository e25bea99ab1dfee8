use std::sync::Arc;

use http::HeaderName;
use serde_json_path::JsonPath;

use crate::route::{Fold, Pattern};

/// Where a value sits, in the request or in the app's reply.
#[derive(Debug, Clone)]
pub(crate) enum Locator {
    /// A capture of the route, from its path or its query part.
    Path(String),
    /// A query parameter of the request.
    Query(String),
    /// A form field of the request.
    Field(String),
    /// A header of the reply; with a pattern, an address whose path (and query) must match it.
    Header { name: HeaderName, pattern: Option<UrlPattern> },
    /// The same of the request.
    RequestHeader { name: HeaderName, pattern: Option<UrlPattern> },
    /// RFC 9535 over the reply.
    Json(JsonLocator),
    /// RFC 9535 over the request.
    BodyJson(JsonLocator),
    /// The reply as plain text.
    Text(TextLocator),
}

/// The values that a JSONPath selects; with a pattern, addresses of any host that must match it.
#[derive(Debug, Clone)]
pub(crate) struct JsonLocator {
    pub(crate) path: JsonPath,
    pub(crate) pattern: Option<UrlPattern>,
}

/// `/documents/{id}/view`, matched against addresses, relative ones of the request's own; the capture `id` is the
/// value. `files/{id}`, without the slash, is matched against the text as it is.
#[derive(Debug, Clone)]
pub(crate) struct UrlPattern {
    pattern: Pattern,
    pub(crate) is_rooted: bool,
    /// Under which the app knows itself, other than by the host of a request.
    pub(crate) origins: Arc<[String]>,
}

/// `created {id}.`: literal text around one `{id}`, over the trimmed reply.
#[derive(Debug, Clone)]
pub(crate) struct TextLocator {
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) pattern: Option<UrlPattern>,
}

impl Locator {
    /// The id is in the request, and known before the app answers.
    pub(crate) fn is_in_request_head(&self) -> bool {
        match self {
            Self::Path(_) | Self::Query(_) | Self::RequestHeader { .. } | Self::Field(_) => true,
            Self::Header { .. } | Self::Json(_) | Self::BodyJson(_) | Self::Text(_) => false,
        }
    }

    /// Reads addresses as the app does.
    pub(crate) fn for_app(&mut self, fold: Fold, origins: &Arc<[String]>) {
        let pattern = match self {
            Self::Path(_) | Self::Query(_) | Self::Field(_) => None,
            Self::Header { pattern, .. } | Self::RequestHeader { pattern, .. } => pattern.as_mut(),
            Self::Json(locator) | Self::BodyJson(locator) => locator.pattern.as_mut(),
            Self::Text(locator) => locator.pattern.as_mut(),
        };
        if let Some(pattern) = pattern {
            pattern.pattern = pattern.pattern.clone().folding(fold);
            pattern.origins = origins.clone();
        }
    }
}

impl UrlPattern {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("write the path only: addresses match with any host".to_owned());
        }
        let is_rooted = text.starts_with('/');
        let rooted = if is_rooted { text.to_owned() } else { format!("/{text}") };
        let pattern = Pattern::parse(&rooted)?;
        if !pattern.names().contains(&"id") {
            return Err(format!("`{text}` has no `{{id}}`, so nothing would be found"));
        }
        Ok(Self { pattern, is_rooted, origins: Arc::default() })
    }

    /// The id in a path and query of this look.
    pub(crate) fn id(&self, path: &str, query: Option<&str>) -> Option<String> {
        let mut captures = self.pattern.captures(path, query)?;
        captures.take("id").filter(|_| !self.pattern.hides_slash(path))
    }
}

impl TextLocator {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim().split_once("{id}") {
            Some((before, after)) if !after.contains("{id}") => {
                Ok(Self { before: before.to_owned(), after: after.to_owned(), pattern: None })
            }
            _ => Err(format!("`{text}` needs exactly one `{{id}}`")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_one_id() {
        assert!(UrlPattern::parse("/d/{id}/view").is_ok());
        assert!(UrlPattern::parse("/d/{name}").unwrap_err().contains("no `{id}`"));
        assert!(UrlPattern::parse("http://app/d/{id}").unwrap_err().contains("path only"));
        let pattern = TextLocator::parse(" created {id}.\n").unwrap();
        assert_eq!((&*pattern.before, &*pattern.after), ("created ", "."));
        assert!(TextLocator::parse("{id} {id}").is_err());
        assert!(TextLocator::parse("created").is_err());
    }
}
