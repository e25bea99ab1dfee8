//! Parameters of a query and fields of a form. Pure.

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::decode::query_text;
use super::names::{may_be, may_be_raw};

/// What a request says under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parameter<'r> {
    Missing,
    /// Every reader finds this value, and no other.
    Value(Cow<'r, str>),
    /// It is there more than once, in another spelling, or with a value that readers decode differently.
    Unclear,
}

impl<'r> Parameter<'r> {
    fn and(self, value: Option<Cow<'r, str>>) -> Self {
        match (self, value) {
            (Self::Missing, Some(value)) => Self::Value(value),
            _ => Self::Unclear,
        }
    }
}

/// The parameter with this name in a raw query.
///
/// It counts if it is there once, as `name` or as browsers encode that, and nothing else may be read as it, also
/// where `;` separates parameters (Rack 2, Python before 3.9.2, Perl's CGI).
pub(crate) fn parameter<'q>(query: Option<&'q str>, name: &str) -> Parameter<'q> {
    let mut found = Parameter::Missing;
    for (at, part) in query.unwrap_or_default().split('&').enumerate() {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if is_plain(key, name) {
            let clear = at < MANY && !part.contains(';') && !has_late_name(value);
            found = found.and(query_text(value).filter(|_| clear));
        } else if names(part).any(|key| may_be_raw(key, name)) {
            return Parameter::Unclear;
        }
    }
    found
}

/// qs ends the name at the first `]=`, also where a `=` came before.
fn has_late_name(value: &str) -> bool {
    let mut ends = value.match_indices('=').map(|(at, _)| value.get(..at).unwrap_or_default());
    ends.any(|before| before.ends_with(']') || before.ends_with("%5D") || before.ends_with("%5d"))
}

/// Some readers stop after so many parameters (1,000 in PHP's `max_input_vars` and qs's `parameterLimit`).
const MANY: usize = 500;

/// The field with this name among the decoded ones of a form.
///
/// `urlencoded`: some readers may have seen `;` as a separator in it.
pub(crate) fn field<'f>(
    fields: &'f [(String, String)],
    name: &str,
    urlencoded: bool,
) -> Parameter<'f> {
    let mut found = Parameter::Missing;
    for (key, value) in fields {
        if key == name {
            // Whether blanks around it are a part of it is for the app to say.
            let clear = value.trim() == value
                && !value.contains('\0')
                && !(urlencoded && value.contains(';'));
            found = found.and(clear.then_some(Cow::Borrowed(value.as_str())));
        } else if may_be(key, name)
            || (urlencoded && hides(key, name))
            || (urlencoded && hides(value, name))
        {
            return Parameter::Unclear;
        }
    }
    found
}

/// Every parameter of a raw query by its name, as conditions see them: a text where every reader finds it, an empty
/// list where they differ.
pub(crate) fn parameters(query: Option<&str>) -> Map<String, Value> {
    let mut found = Map::new();
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let plain = query_text(key).filter(|name| is_plain(key, name) && !part.contains(';'));
        match (plain, query_text(value)) {
            (Some(name), Some(value)) => add(&mut found, &name, Some(&value)),
            _ => names(part).for_each(|name| add(&mut found, &lossy(name), None)),
        }
    }
    found
}

/// The same of the fields of a form.
pub(crate) fn fields(fields: &[(String, String)]) -> Map<String, Value> {
    let mut found = Map::new();
    fields.iter().for_each(|(name, value)| add(&mut found, name, Some(value)));
    found
}

fn add(found: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    let value = value.filter(|_| !found.contains_key(name));
    found.insert(name.to_owned(), value.map_or(Value::Array(Vec::new()), Value::from));
}

fn lossy(raw: &str) -> String {
    let raw = raw.replace('+', " ");
    percent_encoding::percent_decode_str(&raw).decode_utf8_lossy().into_owned()
}

/// Whether the body is a form without files.
pub(crate) fn is_urlencoded(headers: &HeaderMap) -> bool {
    let is = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii_start();
        value.get(..URLENCODED.len()).is_some_and(|start| start.eq_ignore_ascii_case(URLENCODED))
    };
    headers.get_all(CONTENT_TYPE).iter().any(is)
}

/// Whether a charset is named in which ASCII may be something else. ASP.NET decodes the query by it, too
/// (`HttpRequest.ContentEncoding`), so that `doc_id` can stand there in EBCDIC.
pub(crate) fn has_odd_charset(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        let Some(at) = memchr::memmem::find(&value, b"charset") else { return false };
        let named = value.get(at + b"charset".len()..).unwrap_or_default();
        let named =
            named.trim_ascii_start().strip_prefix(b"=").unwrap_or_default().trim_ascii_start();
        let named = named.strip_prefix(b"\"").unwrap_or(named);
        let end = named.iter().position(|b| matches!(b, b'"' | b';' | b' ')).unwrap_or(named.len());
        !PLAIN_CHARSETS.contains(&named.get(..end).unwrap_or_default())
    })
}

const PLAIN_CHARSETS: [&[u8]; 5] = [b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1", b"windows-1252"];
const URLENCODED: &[u8] = b"application/x-www-form-urlencoded";

/// Whether another parameter stands behind a `;`.
fn hides(text: &str, name: &str) -> bool {
    text.split(';').skip(1).any(|part| may_be(self::name(part), name))
}

/// Every value that some reader may find under this name in a raw query, decoded as far as that goes.
pub(crate) fn meant(query: Option<&str>, name: &str) -> Vec<String> {
    let parts = query.unwrap_or_default().split('&');
    let parts = parts.flat_map(|part| std::iter::once(part).chain(part.split(';')));
    let mut values: Vec<String> = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = lossy(value);
        if (is_plain(key, name) || may_be_raw(key, name)) && !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// The raw names in one part of a query, with those behind a `;`.
fn names(part: &str) -> impl Iterator<Item = &str> {
    std::iter::once(part).chain(part.split(';')).map(name)
}

fn name(part: &str) -> &str {
    part.split_once('=').map_or(part, |(name, _)| name)
}

/// As it is written, or as it has to be encoded.
fn is_plain(raw: &str, name: &str) -> bool {
    let needs_encoding =
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    raw == name
        || (raw.contains(['%', '+'])
            && needs_encoding()
            && query_text(raw).as_deref() == Some(name))
}
