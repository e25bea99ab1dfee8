//! Locators, asked one after the other.

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locator};
use crate::reason::Reason;

/// The ids that the first yielding locator found, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) ids: Vec<String>,
    /// It was a reply header that had to match a pattern: such a redirect is an acceptance.
    pub(crate) by_pattern: bool,
}

/// Asks one locator after the other.
///
/// # Errors
/// `id_missing`; `id_unclear` when what a locator names can be read in two ways; or why the reply could not be read
/// where a locator had to read it.
pub(crate) fn find(
    locators: &[Locator],
    request: &RequestFacts<'_>,
    reply: &ReplyFacts<'_>,
) -> Result<Found, Reason> {
    for locator in locators {
        let mut ids = locator.ids(request, reply)?;
        ids.retain(|id| !id.is_empty());
        if !ids.is_empty() {
            return Ok(Found { ids, by_pattern: locator.is_pattern_of_head() });
        }
    }
    match reply.body {
        Err(unread) if locators.iter().any(|l| l.input() == Input::ReplyBody) => Err(unread),
        _ => Err(Reason::IdMissing),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use http::header::{HOST, LOCATION};
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::locate::{UrlPattern, locator};
    use crate::route::{Captures, Fold};

    /// What a locator finds after a request for `https://app.example/api/files?x=1`.
    fn found(locator: &Locator, location: &str, body: &[u8]) -> Result<Vec<String>, Reason> {
        let asked = HeaderMap::from_iter([(HOST, "app.example".parse().unwrap())]);
        let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
        let captures = Captures::default();
        let request = RequestFacts {
            captures: &captures,
            path: "/api/files",
            query: Some("x=1"),
            headers: &asked,
            fields: &[],
            json: None,
        };
        let reply = ReplyFacts::new(StatusCode::OK, &headers, Ok(body));
        find(std::slice::from_ref(locator), &request, &reply).map(|found| found.ids)
    }

    fn with_pattern(key: &str, text: &str, pattern: &str) -> Locator {
        locator(key, text, Some(UrlPattern::parse(pattern).unwrap()))
    }

    #[test]
    fn an_address_in_a_header() {
        for (text, location, id) in [
            ("/documents/{id}", "/documents/7;jsessionid=4F1C", Some("7")),
            ("/documents/{id}/view", "/documents/7;a=b/view;jsessionid=4F1C", Some("7")),
            ("/api/documents/{id}", "documents/7", Some("7")),
            ("/{id}", "../7", Some("7")),
            ("/api/files?id={id}", "?id=7", Some("7")),
            ("/d/{id}", "https://APP.example:443/d/a%20%23b?x=1#y", Some("a #b")),
            ("/d/{id}", "https://known.example/d/7", Some("7")),
            ("/d/{id}", "https://elsewhere.example/d/7", None),
            ("/d/{id}", "//elsewhere.example/d/7", None),
            ("/d/{id}", "/d/a%2Fb", None),
            ("/d/{*id}", "/d/a/b", Some("a/b")),
            ("/d/{id:digits}", "/d/007", None),
            ("/d/{id}", "/D/7/", None),
            ("/d?id={id}", "/d?id=7&ID=8", None),
            ("d/{id}", "d/7", Some("7")),
        ] {
            let mut locator = with_pattern("header", "location", text);
            locator.for_app(Fold::default(), &Arc::from(["https://known.example".to_owned()]));
            let found = found(&locator, location, b"").ok().and_then(|mut ids| ids.pop());
            assert_eq!(found.as_deref(), id, "{text} in {location}");
        }
    }

    #[test]
    fn patterns_follow_the_paths_of_the_app() {
        let mut locator = with_pattern("header", "location", "/d/{id}");
        let fold = Fold { case: true, trailing_slash: true, encoded_slash: true };
        locator.for_app(fold, &Arc::default());
        assert_eq!(found(&locator, "/D/Ab%2Fc/", b""), Ok(vec!["ab/c".to_owned()]));
    }

    #[test]
    fn addresses_in_json_and_text_are_of_any_host() {
        let json = |path: &str| with_pattern("json", path, "/media/{id}");
        let body = br#"{"url":"https://cdn.example/media/7.pdf","all":["/media/1","/media/2"],"odd":["/media/1","/x"]}"#;
        assert_eq!(found(&json("$.url"), "/", body), Ok(vec!["7.pdf".to_owned()]));
        assert_eq!(found(&json("$.all[*]"), "/", body), Ok(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(found(&json("$.odd[*]"), "/", body), Err(Reason::IdMissing));
        let text = with_pattern("text", "at {id}", "/media/{id}");
        assert_eq!(found(&text, "/", b"at /media/7\n"), Ok(vec!["7".to_owned()]));
    }
}
