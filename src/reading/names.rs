//! When the name of a parameter may be read as another one. Pure.
//!
//! Readers agree on `doc_id=7` and on little else. What each of them makes of a name:
//! - PHP drops leading blanks, ends the name at NUL, takes `.`, blanks and an unmatched `[` for `_`, and reads
//!   `doc_id[]` and `doc_id[x]` into `doc_id` (`php_register_variable_ex`, main/php_variables.c).
//! - Rack reads `doc_id[]`, `doc_id[x]`, and Rack 2 `[doc_id]` too, into `doc_id` (`QueryParser#normalize_params`).
//! - qs, so Express, does as well; with `allowDots` also `doc_id.x` (lib/parse.js, `parseKeys`).
//! - ASP.NET does not see case and decodes `%u0064` (`HttpValueCollection`, `HttpEncoder.UrlDecode`); classic ASP drops
//!   a `%` that begins no escape.
//! - Windows code pages map full-width letters to plain ones ("best fit").
//! - Anything between client and app may decode once more than it should.
//!
//! The fold is coarser than any of them: a request is unclear only if *two* of its names meet, or the one there is
//! has another spelling than the wanted one.

/// Whether some reader takes the parameter with this raw name, as it stands in a query, for `wanted`.
pub(crate) fn may_be_raw(raw: &str, wanted: &str) -> bool {
    if is_simple(raw) && is_simple(wanted) {
        return raw.eq_ignore_ascii_case(wanted);
    }
    may_be_bytes(&decode(raw.replace('+', " ").as_bytes()), wanted)
}

/// The same of a name that has been decoded, as of a form field.
pub(crate) fn may_be(name: &str, wanted: &str) -> bool {
    if is_simple(name) && is_simple(wanted) {
        return name.eq_ignore_ascii_case(wanted);
    }
    may_be_bytes(name.as_bytes(), wanted)
}

/// Whether a CGI server makes one variable of these two header names: all that is no letter or digit becomes `_`
/// (RFC 3875, section 4.1.18; Apache's `http2env`).
pub(crate) fn same_in_cgi(one: &str, other: &str) -> bool {
    let fold =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

/// Nothing in it that any reader changes, but for case.
fn is_simple(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn may_be_bytes(name: &[u8], wanted: &str) -> bool {
    let wanted = Folded::of(wanted.as_bytes());
    let mut name = name.to_vec();
    for _ in 0..DECODINGS {
        if Folded::of(&name).meets(&wanted) {
            return true;
        }
        let decoded = decode(&name);
        if decoded == name {
            return false;
        }
        name = decoded;
    }
    Folded::of(&name).meets(&wanted)
}

/// A name as the laxest reader sees it.
struct Folded {
    letters: Vec<char>,
    /// Where it may begin: after blanks and brackets that some readers drop.
    starts: Vec<usize>,
    /// Where it may end: before an index, a member, a NUL.
    ends: Vec<usize>,
}

impl Folded {
    fn of(name: &[u8]) -> Self {
        let name = undo_overlong(name);
        let mut folded = Self { letters: Vec::new(), starts: vec![0], ends: Vec::new() };
        // Blanks, brackets and what is invisible, so far.
        let mut leading = true;
        // Where trailing blanks begin.
        let mut trimmed = 0;
        for c in String::from_utf8_lossy(&name).chars() {
            let at = folded.letters.len();
            match c {
                '\0' | ']' | '.' | '[' | ':' if at > 0 => folded.ends.push(at),
                _ => {}
            }
            match c {
                ']' | '%' => {}
                ' ' | '.' | '[' | '_' => folded.letters.push('_'),
                c if c.is_whitespace() => folded.letters.push('_'),
                c if c.is_control() || is_invisible(c) => {}
                c => folded.letters.extend(folded_case(c)),
            }
            leading &= c.is_whitespace() || c.is_control() || matches!(c, '[' | ']');
            if leading {
                folded.starts.push(folded.letters.len());
            }
            if !c.is_whitespace() {
                trimmed = folded.letters.len();
            }
        }
        folded.ends.extend([folded.letters.len(), trimmed]);
        folded
    }

    /// Whether one of the two, as a whole, is a name that the other is read as.
    fn meets(&self, other: &Self) -> bool {
        self.is_read_as(&other.letters) || other.is_read_as(&self.letters)
    }

    fn is_read_as(&self, whole: &[char]) -> bool {
        !whole.is_empty()
            && self.starts.iter().any(|start| {
                let end = start + whole.len();
                self.letters.get(*start..end) == Some(whole) && self.ends.contains(&end)
            })
    }
}

/// One percent-decoding, of `%u0064` too; what is no escape stays.
fn decode(text: &[u8]) -> Vec<u8> {
    let hex = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let unicode = (*byte == b'%'
            && text.get(at + 1).is_some_and(|u| u.eq_ignore_ascii_case(&b'u')))
        .then(|| text.get(at + 2..at + 6).and_then(hex).and_then(char::from_u32))
        .flatten();
        let octet = (*byte == b'%')
            .then(|| {
                text.get(at + 1..at + 3).and_then(hex).and_then(|octet| u8::try_from(octet).ok())
            })
            .flatten();
        let length = match (unicode, octet) {
            (Some(c), _) => {
                decoded.extend(c.encode_utf8(&mut [0; 4]).bytes());
                6
            }
            (None, Some(octet)) => {
                decoded.push(octet);
                3
            }
            (None, None) => {
                decoded.push(*byte);
                1
            }
        };
        at += length;
    }
    decoded
}

/// ASCII in two bytes, as lax UTF-8 decoders take it.
fn undo_overlong(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut left = name;
    while let Some((first, rest)) = left.split_first() {
        match (first, rest.first()) {
            (0xc0 | 0xc1, Some(second @ 0x80..=0xbf)) => {
                plain.push((first & 1) << 6 | (second & 0x3f));
                left = rest.get(1..).unwrap_or_default();
            }
            _ => {
                plain.push(*first);
                left = rest;
            }
        }
    }
    plain
}

fn folded_case(c: char) -> impl Iterator<Item = char> {
    let c = match u32::from(c) {
        full_width @ 0xff01..=0xff5e => char::from_u32(full_width - 0xfee0).unwrap_or(c),
        _ => c,
    };
    // By way of the capital, so that `ſ` and `ı` are the letters that they are capitals of.
    c.to_uppercase().flat_map(char::to_lowercase)
}

/// Code points that comparisons of some cultures skip, and the mark of bytes that are no text.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0xad | 0x34f | 0x61c | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xfe00..=0xfe0f | 0xfeff | 0xfff0..=0xfffd | 0xe0000..=0xe0fff)
}

/// Readers that decode more often have not been seen.
const DECODINGS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_reader_takes_for_another() {
        for raw in [
            "doc_id",
            "+doc_id",
            "%20doc_id",
            "++doc_id",
            "%09doc_id",
            "doc.id",
            "doc%20id",
            "doc+id",
            "doc[id",
            "doc%5Bid",
            "doc_id%00x",
            "doc_id%00",
            "doc_id[]",
            "doc_id%5B%5D",
            "doc_id[x]",
            "doc_id[x][y]",
            "doc_id[",
            "DOC_ID",
            "Doc_Id",
            "doc%5Fid",
            "doc%255Fid",
            "%64oc_id",
            "%u0064oc_id",
            "d%oc_id",
            "[doc_id]",
            "doc_id.x",
            "doc_id+",
            "doc_id]",
            "doc_id%EF%BB%BF",
            "%EF%BB%BFdoc_id",
            "doc%C1%9Fid",
            "%EF%BD%84oc_id",
            "doc_id%ff",
            "doc_%C4%B1d",
            "%5Bdoc_id",
        ] {
            assert!(may_be_raw(raw, "doc_id"), "{raw}");
        }
    }

    #[test]
    fn names_that_no_reader_takes_for_another() {
        for raw in [
            "doc",
            "id",
            "doc_id_2",
            "doc_idx",
            "xdoc_id",
            "_doc_id",
            "doc-id",
            "docid",
            "doc[x]",
            "x[doc_id]",
            "",
            "doc_id_",
        ] {
            assert!(!may_be_raw(raw, "doc_id"), "{raw}");
        }
        assert!(!may_be("method", "_method") && !may_be("post[title]", "post[id]"));
        assert!(may_be(".method", "_method") && may_be("[method", "_method"));
        // PHP reads both into one array, which the second replaces.
        assert!(may_be("post", "post[id]") && may_be("post[id][]", "post[id]"));
    }

    #[test]
    fn headers_that_a_cgi_server_can_not_tell_apart() {
        for name in ["x_http_method", "X-HTTP-METHOD", "x.http-method", "x-http_method"] {
            assert!(same_in_cgi(name, "x-http-method"), "{name}");
        }
        assert!(!same_in_cgi("x-http-methods", "x-http-method"));
    }
}
