//! Locators, evaluated.

use std::cell::OnceCell;

use http::header::HOST;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::locator::{JsonLocator, Locator, TextLocator, UrlPattern};
use crate::reading::{
    Address, Parameter, field, has_odd_charset, is_urlencoded, may_be, parameter, read_json,
    same_in_cgi,
};
use crate::reason::Reason;
use crate::route::Captures;

/// What a request said, as far as locators and conditions look.
#[derive(Debug)]
pub(crate) struct RequestFacts<'a> {
    pub(crate) captures: &'a Captures,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) fields: &'a [(String, String)],
    pub(crate) json: Option<&'a Value>,
}

/// What the app answered. `body` is an error where it could not be read.
#[derive(Debug)]
pub(crate) struct ReplyFacts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Result<&'a [u8], Reason>,
    json: OnceCell<Option<Value>>,
}

impl<'a> ReplyFacts<'a> {
    pub(crate) fn new(
        status: StatusCode,
        headers: &'a HeaderMap,
        body: Result<&'a [u8], Reason>,
    ) -> Self {
        Self { status, headers, body, json: OnceCell::new() }
    }

    /// The reply as JSON, whatever its Content-Type says.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json
            .get_or_init(|| self.body.ok().and_then(|body| read_json(self.headers, body)))
            .as_ref()
    }
}

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
        let mut ids = values(locator, request, reply)?;
        ids.retain(|id| !id.is_empty());
        if !ids.is_empty() {
            let by_pattern = matches!(locator, Locator::Header { pattern: Some(_), .. });
            return Ok(Found { ids, by_pattern });
        }
    }
    let reads_reply = |l: &Locator| matches!(l, Locator::Json(_) | Locator::Text(_));
    match reply.body {
        Err(unread) if locators.iter().any(reads_reply) => Err(unread),
        _ => Err(Reason::IdMissing),
    }
}

fn values(
    locator: &Locator,
    request: &RequestFacts<'_>,
    reply: &ReplyFacts<'_>,
) -> Result<Vec<String>, Reason> {
    let urlencoded = || is_urlencoded(request.headers);
    let one = |value: Option<String>| Ok(value.into_iter().collect());
    match locator {
        Locator::Path(name) => one(request.captures.get(name).map(str::to_owned)),
        Locator::Query(name) => {
            let value = once(parameter(request.query, name))?;
            if value.is_some() && request.fields.iter().any(|(key, _)| may_be(key, name)) {
                return Err(Reason::IdUnclear);
            }
            one(value)
        }
        Locator::Field(name) => {
            let value = once(field(request.fields, name, urlencoded()))?;
            let elsewhere = parameter(request.query, name) != Parameter::Missing;
            if value.is_some() && (elsewhere || has_odd_charset(request.headers)) {
                return Err(Reason::IdUnclear);
            }
            one(value)
        }
        Locator::Header { name, pattern } => {
            let value = the_header(reply.headers, name)?;
            one(value.and_then(|value| from_address(value, pattern.as_ref(), request, true)))
        }
        Locator::RequestHeader { name, pattern } => {
            let twin =
                |other: &HeaderName| other != name && same_in_cgi(other.as_str(), name.as_str());
            if request.headers.keys().any(twin) {
                return Err(Reason::IdUnclear);
            }
            let value = the_header(request.headers, name)?;
            one(value.and_then(|value| from_address(value, pattern.as_ref(), request, true)))
        }
        Locator::Json(locator) => {
            Ok(reply.json().map(|json| texts(locator, json, request)).unwrap_or_default())
        }
        Locator::BodyJson(locator) => {
            Ok(request.json.map(|json| texts(locator, json, request)).unwrap_or_default())
        }
        Locator::Text(locator) => one(reply.body.ok().and_then(|body| {
            from_address(&text_value(body, locator)?, locator.pattern.as_ref(), request, false)
        })),
    }
}

fn once(parameter: Parameter<'_>) -> Result<Option<String>, Reason> {
    match parameter {
        Parameter::Missing => Ok(None),
        Parameter::Value(value) => Ok(Some(value.into_owned())),
        Parameter::Unclear => Err(Reason::IdUnclear),
    }
}

/// The texts and numbers that a path selects; a selection that holds anything else, or whose pattern does not match,
/// yields nothing, since the order of files and ids would be lost.
fn texts(locator: &JsonLocator, json: &Value, request: &RequestFacts<'_>) -> Vec<String> {
    let values = locator.path.query(json);
    let texts = values.iter().map(|value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        // Fractions, and whole numbers of more than 64 bits, of which two could become one.
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    });
    let ids = texts.map(|text| from_address(&text?, locator.pattern.as_ref(), request, false));
    ids.collect::<Option<_>>().unwrap_or_default()
}

/// The value of a header that is there once.
fn the_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Reason> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::IdUnclear);
    }
    Ok(std::str::from_utf8(value.as_bytes()).ok().map(str::trim))
}

/// The value itself, or what the pattern finds in it as an address. `own`: only one of the app's own.
fn from_address(
    value: &str,
    pattern: Option<&UrlPattern>,
    request: &RequestFacts<'_>,
    own: bool,
) -> Option<String> {
    let Some(pattern) = pattern else { return Some(value.to_owned()) };
    if !pattern.is_rooted {
        return pattern.id(&format!("/{value}"), None);
    }
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let base = match request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.to_owned(),
    };
    let address = Address::resolve(value, host, &base)?;
    if own && !address.same_host && !address.is_at(&pattern.origins) {
        return None;
    }
    pattern.id(&without_parameters(address.path()), address.query())
}

/// Path parameters such as `;jsessionid=…` belong to the visit, not to the document (RFC 3986, section 3.3).
fn without_parameters(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/")
}

fn text_value(body: &[u8], locator: &TextLocator) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let TextLocator { before, after, .. } = locator;
    let id = text.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use http::header::LOCATION;
    use serde_json_path::JsonPath;

    use super::*;
    use crate::route::Fold;

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

    fn pattern(text: &str) -> Option<UrlPattern> {
        Some(UrlPattern::parse(text).unwrap())
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
            let mut locator = Locator::Header { name: LOCATION, pattern: pattern(text) };
            locator.for_app(Fold::default(), &Arc::from(["https://known.example".to_owned()]));
            let found = found(&locator, location, b"").ok().and_then(|mut ids| ids.pop());
            assert_eq!(found.as_deref(), id, "{text} in {location}");
        }
    }

    #[test]
    fn patterns_follow_the_paths_of_the_app() {
        let mut locator = Locator::Header { name: LOCATION, pattern: pattern("/d/{id}") };
        let fold = Fold { case: true, trailing_slash: true, encoded_slash: true };
        locator.for_app(fold, &Arc::default());
        assert_eq!(found(&locator, "/D/Ab%2Fc/", b""), Ok(vec!["ab/c".to_owned()]));
    }

    #[test]
    fn addresses_in_json_and_text_are_of_any_host() {
        let json = |path: &str| {
            let path = JsonPath::parse(path).unwrap();
            Locator::Json(JsonLocator { path, pattern: pattern("/media/{id}") })
        };
        let body = br#"{"url":"https://cdn.example/media/7.pdf","all":["/media/1","/media/2"],"odd":["/media/1","/x"]}"#;
        assert_eq!(found(&json("$.url"), "/", body), Ok(vec!["7.pdf".to_owned()]));
        assert_eq!(found(&json("$.all[*]"), "/", body), Ok(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(found(&json("$.odd[*]"), "/", body), Err(Reason::IdMissing));
        let text = TextLocator {
            pattern: pattern("/media/{id}"),
            ..TextLocator::parse("at {id}").unwrap()
        };
        assert_eq!(found(&Locator::Text(text), "/", b"at /media/7\n"), Ok(vec!["7".to_owned()]));
    }
}
