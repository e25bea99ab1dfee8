//! Parameters of a query and fields of a form. Pure.

use std::borrow::Cow;

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
    for part in query.unwrap_or_default().split('&') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if is_plain(key, name) {
            let value = query_text(value).filter(|_| !part.contains(';'));
            found = found.and(value);
        } else if names(part).any(|key| may_be_raw(key, name)) {
            return Parameter::Unclear;
        }
    }
    found
}

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
            found = found.and(clear.then(|| Cow::Borrowed(value.as_str())));
        } else if may_be(key, name)
            || (urlencoded && hides(key, name))
            || (urlencoded && hides(value, name))
        {
            return Parameter::Unclear;
        }
    }
    found
}

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
        let value = value.replace('+', " ");
        let value = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
        if (is_plain(key, name) || may_be_raw(key, name)) && !values.iter().any(|v| *v == value) {
            values.push(value.into_owned());
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
