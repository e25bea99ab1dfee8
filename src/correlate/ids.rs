//! Locators, evaluated.

use std::cell::OnceCell;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::locator::{Locator, TextPattern, UrlPattern};
use crate::reason::Reason;
use crate::route::Captures;

/// What a request said, as far as locators and conditions look.
#[derive(Debug)]
pub(crate) struct RequestFacts<'a> {
    pub(crate) captures: &'a Captures,
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
            .get_or_init(|| self.body.ok().and_then(|body| serde_json::from_slice(body).ok()))
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
/// `id_missing`, or why the reply could not be read where a locator had to read it.
pub(crate) fn find(
    locators: &[Locator],
    request: &RequestFacts<'_>,
    reply: &ReplyFacts<'_>,
) -> Result<Found, Reason> {
    for locator in locators {
        let ids = values(locator, request, reply);
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

fn values(locator: &Locator, request: &RequestFacts<'_>, reply: &ReplyFacts<'_>) -> Vec<String> {
    let one = |value: Option<String>| value.into_iter().filter(|v| !v.is_empty()).collect();
    match locator {
        Locator::Path(name) => one(request.captures.get(name).map(str::to_owned)),
        Locator::Query(name) => one(request.query.and_then(|query| query_value(query, name))),
        Locator::Field(name) => one(request
            .fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim().to_owned())),
        Locator::Header { name, pattern } => {
            one(header_value(reply.headers, name, pattern.as_ref()))
        }
        Locator::RequestHeader { name, pattern } => {
            one(header_value(request.headers, name, pattern.as_ref()))
        }
        Locator::Json(path) => reply.json().map(|json| texts(path, json)).unwrap_or_default(),
        Locator::BodyJson(path) => request.json.map(|json| texts(path, json)).unwrap_or_default(),
        Locator::Text(pattern) => one(reply.body.ok().and_then(|body| text_value(body, pattern))),
    }
}

/// The texts and numbers that a path selects; a selection that holds anything else yields nothing,
/// since the order of files and ids would be lost.
fn texts(path: &JsonPath, json: &Value) -> Vec<String> {
    path.query(json)
        .iter()
        .map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            // Fractions, and whole numbers of more than 64 bits, of which two could become one.
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        })
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn query_value(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn header_value(
    headers: &HeaderMap,
    name: &http::HeaderName,
    pattern: Option<&UrlPattern>,
) -> Option<String> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    match pattern {
        None => Some(value.to_owned()),
        Some(UrlPattern(pattern)) => {
            let (path, query) = path_and_query(value)?;
            pattern.captures(path, query)?.get("id").map(str::to_owned)
        }
    }
}

/// The path and query of an absolute or relative address (RFC 3986 section 3).
fn path_and_query(address: &str) -> Option<(&str, Option<&str>)> {
    let address = address.split_once('#').map_or(address, |(before, _)| before);
    let after_scheme = match address.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => Some(rest),
        _ => address.strip_prefix("//"),
    };
    let local = match after_scheme {
        Some(rest) => &rest[rest.find(['/', '?'])?..],
        None => address,
    };
    Some(match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    })
}

fn text_value(body: &[u8], pattern: &TextPattern) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let id = text.strip_prefix(pattern.before.as_str())?.strip_suffix(pattern.after.as_str())?;
    Some(id.trim().to_owned())
}
