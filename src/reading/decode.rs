//! Percent-decoding that refuses what two programs could read differently.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// One path segment, decoded once. `None` for a segment that must match nothing: empty, `.` or
/// `..` (also between encoded slashes and backslashes), a broken percent sequence, invalid UTF-8, control characters,
/// a backslash that is not encoded.
pub(crate) fn segment(raw: &str) -> Option<Cow<'_, str>> {
    // As most are.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !raw.is_empty() && raw.bytes().all(is_plain) {
        return Some(Cow::Borrowed(raw));
    }
    let text = strict(raw)?;
    if raw.contains('\\') {
        return None;
    }
    let is_dots = |part: &str| matches!(part, "." | "..");
    let clear = match &text {
        Cow::Borrowed(text) => !text.is_empty() && !is_dots(text),
        Cow::Owned(text) => !text.is_empty() && !text.split(['/', '\\']).any(is_dots),
    };
    clear.then_some(text)
}

pub(crate) fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f"))
}

/// One key or value of a query, where `+` is a space.
pub(crate) fn query_text(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('+') {
        return strict(raw);
    }
    strict(&raw.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()))
}

fn strict(raw: &str) -> Option<Cow<'_, str>> {
    if raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut escapes = raw.split('%').skip(1);
    let whole = |escape: &str| matches!(escape.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !escapes.all(whole) {
        return None;
    }
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_once() {
        assert_eq!(segment("a%2Fb").unwrap(), "a/b");
        assert_eq!(segment("%252e").unwrap(), "%2e");
        assert_eq!(segment("%23%3F%3B%5C").unwrap(), "#?;\\");
        assert_eq!(segment("%C3%BC").unwrap(), "ü");
        assert_eq!(query_text("a+b%2Bc").unwrap(), "a b+c");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for raw in
            ["", ".", "..", "%2e", ".%2E", "a%", "a%2", "a%zz", "a%ff", "a%00", "a%5c..", "a\\b"]
        {
            assert_eq!(segment(raw), None, "{raw}");
        }
    }
}
