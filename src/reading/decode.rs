//! Percent-decoding that refuses what two programs could read differently.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// One path segment, decoded once. `None` for a segment that must match nothing: empty, `.` or
/// `..`, a broken percent sequence, invalid UTF-8, control characters, a backslash.
pub(crate) fn segment(raw: &str) -> Option<Cow<'_, str>> {
    let text = strict(raw)?;
    let clear = !matches!(&*text, "" | "." | "..") && !text.contains('\\');
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
        assert_eq!(segment("%C3%BC").unwrap(), "ü");
        assert_eq!(query_text("a+b%2Bc").unwrap(), "a b+c");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for raw in
            ["", ".", "..", "%2e", ".%2E", "a%", "a%2", "a%zz", "a%ff", "a%00", "a%5cb", "a\\b"]
        {
            assert_eq!(segment(raw), None, "{raw}");
        }
    }
}
