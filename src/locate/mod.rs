//! Where a value is: in a request, or in what the app answers.
//!
//! Each kind of locator is a file of its own that says what it reads, how it finds its values, and how the configuration
//! writes it. A new kind takes such a file, a line in [`NOTATIONS`], and its entry in the reference.

mod body_json;
mod facts;
mod field;
mod find;
mod header;
mod json;
mod locator;
mod notation;
mod path;
mod pattern;
mod query;
mod request_header;
mod text;
mod variables;

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

pub(crate) use self::facts::{ReplyFacts, RequestFacts};
pub(crate) use self::find::{Found, find};
pub(crate) use self::json::{json_path, texts};
pub(crate) use self::locator::{Input, Locator};
pub(crate) use self::notation::{Mistake, Notation};
pub(crate) use self::pattern::UrlPattern;
pub(crate) use self::variables::{form_value, reply_value, request_value};
use crate::reading::Parameter;
use crate::reason::Reason;

/// Every kind of locator, as messages list them.
pub(crate) const NOTATIONS: &[Notation] = &[
    path::NOTATION,
    query::NOTATION,
    field::NOTATION,
    header::NOTATION,
    request_header::NOTATION,
    json::NOTATION,
    body_json::NOTATION,
    text::NOTATION,
];

/// The locator that a rule has of which nothing else is written: the capture `id` of its route.
pub(crate) fn by_default() -> Locator {
    Locator::new(Arc::new(path::InPath("id".to_owned())), None)
}

/// `{ key = "text" }`
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn locator(key: &str, text: &str, pattern: Option<UrlPattern>) -> Locator {
    let notation = NOTATIONS.iter().find(|notation| notation.key == key).unwrap();
    Locator::new((notation.read)(text, &None).ok().unwrap(), pattern)
}

/// The value of a parameter that is there once.
fn once(parameter: Parameter<'_>) -> Result<Option<String>, Reason> {
    match parameter {
        Parameter::Missing => Ok(None),
        Parameter::Value(value) => Ok(Some(value.into_owned())),
        Parameter::Unclear => Err(Reason::IdUnclear),
    }
}

/// The value of a header that is there once.
fn the_header(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, Reason> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(Vec::new()) };
    if values.next().is_some() {
        return Err(Reason::IdUnclear);
    }
    let text = std::str::from_utf8(value.as_bytes()).ok();
    Ok(text.map(|text| text.trim().to_owned()).into_iter().collect())
}

/// The error is a sentence for the operator.
fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes());
    name.map_err(|_| format!("`{text}` is not a header name"))
}
