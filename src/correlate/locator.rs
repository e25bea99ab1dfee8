use http::HeaderName;
use serde_json_path::JsonPath;

use crate::route::Pattern;

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
    Json(JsonPath),
    /// RFC 9535 over the request.
    BodyJson(JsonPath),
    /// The reply as plain text.
    Text(TextPattern),
}

/// `/documents/{id}/view`, matched against absolute or relative addresses; the capture `id` is the value.
#[derive(Debug, Clone)]
pub(crate) struct UrlPattern(pub(crate) Pattern);

/// `created {id}.`: literal text around one `{id}`, over the trimmed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextPattern {
    pub(crate) before: String,
    pub(crate) after: String,
}

impl UrlPattern {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("write the path only: addresses match with any host".to_owned());
        }
        let pattern = Pattern::parse(text)?;
        if !pattern.names().contains(&"id") {
            return Err(format!("`{text}` has no `{{id}}`, so nothing would be found"));
        }
        Ok(Self(pattern))
    }
}

impl TextPattern {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim().split_once("{id}") {
            Some((before, after)) if !after.contains("{id}") => {
                Ok(Self { before: before.to_owned(), after: after.to_owned() })
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
        let pattern = TextPattern::parse(" created {id}.\n").unwrap();
        assert_eq!((&*pattern.before, &*pattern.after), ("created ", "."));
        assert!(TextPattern::parse("{id} {id}").is_err());
        assert!(TextPattern::parse("created").is_err());
    }
}
