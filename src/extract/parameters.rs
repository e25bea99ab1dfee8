//! Header values of the form `kind; name=value; name="value"`.

use memchr::memmem;

/// A parsed value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameterized {
    /// In lower case.
    pub(crate) kind: String,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parameterized {
    /// `None` for what can't be read with certainty: broken quoting, or a parameter given twice.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (kind, parameters) = value.split_at(end_of_value(value));
        let kind = std::str::from_utf8(kind.trim_ascii()).ok()?.to_ascii_lowercase();
        let mut parsed = Self { kind, parameters: Vec::new() };
        let mut rest = skip_separators(parameters);
        while !rest.is_empty() {
            let (name, value, after) = parameter(rest)?;
            if parsed.value(&name).is_some() {
                return None;
            }
            parsed.parameters.push((name, value));
            rest = skip_separators(after);
        }
        Some(parsed)
    }

    /// The value of the parameter with this name (in lower case).
    pub(crate) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_slice())
    }

    /// The names of all parameters, in lower case.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.parameters.iter().map(|(name, _)| name.as_slice())
    }
}

/// Whether all readers find the same parameters in `value`. PHP takes `'` for a quote as well and
/// `\\"` for an escaped quote, others know no escapes at all, and those that search for `name=`
/// find it within a file name too.
pub(crate) fn is_read_alike(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let (before, after) = rest.split_at(quote);
        let quoted = after.get(1..).unwrap_or_default();
        if !is_bare(before) || !before.trim_ascii_end().ends_with(b"=") {
            return false;
        }
        let Some((_, next)) = unquoted(quoted) else { return false };
        let content = quoted.get(..quoted.len() - next.len()).unwrap_or_default().trim_ascii_end();
        let content = content.strip_suffix(b"\"").unwrap_or(content);
        let escapes = memmem::find_iter(content, b"\\\"").count();
        let separates = memchr::memchr2(b';', b'=', content).is_some();
        // At the very end it makes no difference where the quotes are thought to close.
        let shifts = escapes % 2 == 1 && !next.is_empty();
        if shifts || (escapes > 0 && separates) {
            return false;
        }
        if content.ends_with(b"\\") || assigns_name(content) {
            return false;
        }
        rest = next;
    }
    is_bare(rest)
}

/// What stands outside of quotes: no quote of PHP's that is left open, no escape, and no blank within
/// a `name`.
fn is_bare(text: &[u8]) -> bool {
    let is_plain = |parameter: &[u8]| {
        let at = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at(at);
        let name = name.trim_ascii().to_ascii_lowercase();
        let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
        match memchr::memchr_iter(b'\'', parameter).count() {
            0 => {}
            // `utf-8'en'text` (RFC 8187)
            2 if name.ends_with(b"*") => {}
            _ => return false,
        }
        name != b"name" || !value.iter().any(u8::is_ascii_whitespace)
    };
    !text.contains(&b'\\') && text.split(|byte| *byte == b';').all(is_plain)
}

/// `name=`, `filename=`, `name*0 =`
fn assigns_name(content: &[u8]) -> bool {
    let content = content.to_ascii_lowercase();
    memmem::find_iter(&content, b"name").any(|at| {
        let after = content.get(at + 4..).unwrap_or_default();
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'*' | b'0'..=b'9');
        after.iter().find(|byte| !blank(byte)) == Some(&b'=')
    })
}

/// Name and value of the first parameter, and what follows it.
fn parameter(input: &[u8]) -> Option<(Vec<u8>, Vec<u8>, &[u8])> {
    let (name, value) = input.split_at(memchr::memchr2(b'=', b';', input)?);
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let name = name.trim_ascii_end().to_ascii_lowercase();
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let (value, after) = unquoted(quoted)?;
        return Some((name, value, after));
    }
    let (value, after) = value.split_at(end_of_value(value));
    Some((name, value.trim_ascii_end().to_vec(), after))
}

/// The content of a quoted string up to its closing quote, and what follows, which must be the next
/// parameter. Only `\"` and `\\` are escapes, as old browsers wrote `C:\dir\file` unescaped.
fn unquoted(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = input;
    loop {
        rest = match rest {
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                value.push(*escaped);
                after
            }
            [b'"', after @ ..] => {
                let next = after.trim_ascii_start();
                return (next.is_empty() || next.starts_with(b";")).then_some((value, next));
            }
            [byte, after @ ..] => {
                value.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

fn end_of_value(input: &[u8]) -> usize {
    memchr::memchr(b';', input).unwrap_or(input.len())
}

fn skip_separators(mut input: &[u8]) -> &[u8] {
    while let [b';' | b' ' | b'\t', rest @ ..] = input {
        input = rest;
    }
    input
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_with_and_without_quotes() {
        let parsed = Parameterized::parse(br#"Form-Data;a=1 ;; B = "2;=\"\\\x" ; c="#).unwrap();
        assert_eq!(parsed.kind, "form-data");
        for (name, value) in [("a", &b"1"[..]), ("b", br#"2;="\\x"#), ("c", b"")] {
            assert_eq!(parsed.value(name.as_bytes()), Some(value), "{name}");
        }
        assert_eq!(parsed.value(b"d"), None);
    }

    #[test]
    fn doubt_is_an_error() {
        for value in ["x; a=\"1", "x; a=\"1\\\"", "x; a=\"1\"2", "x; a=1; A=2", "x; a; b=1", "x; a"]
        {
            assert_eq!(Parameterized::parse(value.as_bytes()), None, "{value}");
        }
    }
}
