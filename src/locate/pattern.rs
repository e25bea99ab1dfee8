//! Addresses that hold an id.

use std::sync::Arc;

use http::header::HOST;

use super::facts::RequestFacts;
use crate::reading::Address;
use crate::route::{Fold, Pattern};

/// `/documents/{id}/view`, matched against addresses, relative ones of the request's own; the capture `id` is the
/// value. `files/{id}`, without the slash, is matched against the text as it is.
#[derive(Debug, Clone)]
pub(crate) struct UrlPattern {
    pattern: Pattern,
    is_rooted: bool,
    /// Under which the app knows itself, other than by the host of a request.
    origins: Arc<[String]>,
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

    pub(super) fn written(&self) -> &str {
        let text = self.pattern.text();
        if self.is_rooted { text } else { text.strip_prefix('/').unwrap_or(text) }
    }

    /// Reads addresses as the app does.
    pub(super) fn for_app(&mut self, fold: Fold, origins: &Arc<[String]>) {
        self.pattern = self.pattern.clone().folding(fold);
        self.origins = origins.clone();
    }

    /// The id in an address. `own`: only in one of the app's own.
    pub(super) fn find_in(
        &self,
        value: &str,
        request: &RequestFacts<'_>,
        own: bool,
    ) -> Option<String> {
        if !self.is_rooted {
            return self.id(&format!("/{value}"), None);
        }
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let base = match request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.to_owned(),
        };
        let address = Address::resolve(value, host.unwrap_or_default(), &base)?;
        if own && !address.same_host && !address.is_at(&self.origins) {
            return None;
        }
        self.id(&without_parameters(address.path()), address.query())
    }

    /// The id in a path and query of this look.
    fn id(&self, path: &str, query: Option<&str>) -> Option<String> {
        let mut captures = self.pattern.captures(path, query)?;
        captures.take("id").filter(|_| !self.pattern.hides_slash(path))
    }
}

/// Path parameters such as `;jsessionid=…` belong to the visit, not to the document (RFC 3986, section 3.3).
fn without_parameters(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/")
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
    }
}
