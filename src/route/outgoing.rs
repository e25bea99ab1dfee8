//! Requests that Transom itself makes of the app.

use std::fmt::Write as _;

use http::{HeaderMap, Method, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::split_method;

/// A request of our own: `"GET /api/files/{id}"` with headers.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pieces: Vec<Piece>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value { name: String, keep_slashes: bool },
}

impl Outgoing {
    /// `METHOD /path/{id}?q={id}`; `{id}` fills one percent-encoded segment, `{*id}` keeps slashes.
    /// The type of a capture is allowed, so that a route can be a template.
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (method, target) = split_method(text)?;
        if [Method::PUT, Method::DELETE, Method::PATCH, Method::CONNECT].contains(&method) {
            return Err(format!("{method} would change what is only to be looked at; use GET"));
        }
        let (pieces, text) = (pieces(target)?, target.to_owned());
        let outgoing = Self { method, headers: HeaderMap::new(), pieces, text };
        match outgoing.target("x") {
            Some(_) => Ok(outgoing),
            None => Err(format!("`{target}` is not a path that can be requested")),
        }
    }

    /// Path and query as they were written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let name = |piece| match piece {
            &Piece::Text(_) => None,
            Piece::Value { name, .. } => Some(name.as_str()),
        };
        self.pieces.iter().filter_map(name).collect()
    }

    /// Whether both ask for the same, though perhaps with another method or other headers.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }

    /// The path and query for this document id; `None` if the id would make dot segments or
    /// empty ones, and so name something else.
    pub(crate) fn target(&self, id: &str) -> Option<PathAndQuery> {
        if id.is_empty() || id.split(['/', '\\']).any(is_dots) {
            return None;
        }
        let mut target = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => target.push_str(text),
                Piece::Value { keep_slashes, .. } => {
                    let set = if *keep_slashes { UNRESERVED_AND_SLASH } else { UNRESERVED };
                    write!(target, "{}", utf8_percent_encode(id, set)).ok()?;
                }
            }
        }
        let path = target.split('?').next().unwrap_or_default();
        if path.contains("//") || path.split('/').any(is_dots) {
            return None;
        }
        PathAndQuery::try_from(target).ok()
    }

    /// Whether the path for this id has a slash in a segment, which many an app takes for two segments.
    pub(crate) fn hides_slash(&self, id: &str) -> bool {
        let in_path = self
            .pieces
            .iter()
            .take_while(|piece| !matches!(piece, Piece::Text(text) if text.contains('?')));
        let mut values =
            in_path.filter(|piece| matches!(piece, Piece::Value { keep_slashes: false, .. }));
        id.contains('/') && values.next().is_some()
    }
}

fn pieces(target: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut left = target;
    while let Some((text, after)) = left.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("`{target}`: a `{{` is not closed"));
        };
        let keep_slashes = name.starts_with('*');
        let name = name.strip_prefix('*').unwrap_or(name);
        let name = name.split(':').next().unwrap_or_default().to_owned();
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Value { name, keep_slashes });
        left = after;
    }
    pieces.push(Piece::Text(left.to_owned()));
    if pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(['#', '}']))) {
        return Err(format!("`{target}` has a `#` or a `}}` too many"));
    }
    Ok(pieces)
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986, section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target(template: &str, id: &str) -> Option<String> {
        Outgoing::parse(template).unwrap().target(id).map(|target| target.to_string())
    }

    #[test]
    fn a_slash_hides_in_a_segment_only() {
        for (route, hidden) in [
            ("GET /f/{id}/c", true),
            ("GET /f/{*id}", false),
            ("GET /f?id={id}", false),
            ("GET /f/{*id}?again={id}", false),
        ] {
            let outgoing = Outgoing::parse(route).unwrap();
            assert_eq!(outgoing.hides_slash("a/b"), hidden, "{route}");
            assert!(!outgoing.hides_slash("ab"), "{route}");
        }
    }

    #[test]
    fn ids_are_encoded() {
        assert_eq!(target("GET /f/{id}/c", "a/b c?").unwrap(), "/f/a%2Fb%20c%3F/c");
        assert_eq!(target("GET /f/{*id}", "a/ü").unwrap(), "/f/a/%C3%BC");
        assert_eq!(target("GET /f?p={id}&x=1", "a&b").unwrap(), "/f?p=a%26b&x=1");
    }

    #[test]
    fn ids_that_would_name_something_else_are_refused() {
        for id in ["", ".", "..", "a/../b", "a\\..\\b"] {
            assert_eq!(target("GET /f/{id}", id), None, "{id}");
        }
        for id in ["/a", "a//b", "a/"] {
            assert_eq!(target("GET /f/{*id}/c", id), None, "{id}");
        }
    }

    #[test]
    fn bad_templates_say_why() {
        for (text, why) in [
            ("/f/{id}", "a route is a method"),
            ("get /f", "`GET`"),
            ("DELETE /f/{id}", "looked at"),
            ("GET /f/{id", "not closed"),
            ("GET /f/id}", "too many"),
            ("GET /f/../{id}", "not a path"),
        ] {
            let error = Outgoing::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(Outgoing::parse("GET /{a}/{*b}").unwrap().names(), ["a", "b"]);
    }
}
