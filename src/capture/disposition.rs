//! Content-Disposition as browsers and other uploaders write it.
//!
//! Browsers follow the HTML standard ("multipart/form-data encoding algorithm"): raw UTF-8 in
//! quotes, with `"`, CR and LF as `%22`, `%0D` and `%0A`. Others escape `"` and `\` with a
//! backslash (RFC 9110, 5.6.4). Bytes that are not UTF-8 are read as Latin-1, which keeps the
//! names of western legacy clients legible and never fails.

use percent_encoding::percent_decode;

use super::parameters::Parameterized;

/// A parsed Content-Disposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// `form-data`, `attachment`, …, in lower case.
    pub(crate) kind: String,
    /// As written, but for its escapes: a cleaned name could match a part the app does not see.
    pub(crate) name: Option<String>,
    /// Fit for showing: base name, no control characters, at most 255 bytes. `Some` says that there
    /// is a file, even where nothing presentable is left of its name; `filename=""` is `None`, as
    /// browsers write it for a file input with no file chosen.
    pub(crate) file_name: Option<String>,
}

impl Disposition {
    /// `None` for what can't be read with certainty: broken quoting, or a parameter given twice.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let parsed = Parameterized::parse(value)?;
        let readable = |name| parsed.value(name).map(|value| text(&unescaped(value)));
        let extended = parsed.value(b"filename*").and_then(extended_text);
        let file_name = extended.or_else(|| readable(b"filename"));
        Some(Self {
            name: readable(b"name"),
            file_name: file_name.filter(|name| !name.is_empty()).map(|name| presentable(&name)),
            kind: parsed.kind,
        })
    }
}

/// Undoes the three escapes of the HTML standard, and no others: `100%25.pdf` is a name.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D' | b'd', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A' | b'a', after @ ..] => (b'\n', after),
            _ => (byte, after),
        };
        out.push(byte);
        rest = after;
    }
    out
}

/// `charset'language'percent-encoded` (RFC 8187). `None` if it is not that, or empty.
fn extended_text(value: &[u8]) -> Option<String> {
    let mut fields = value.splitn(3, |b| *b == b'\'');
    let (charset, _language, encoded) = (fields.next()?, fields.next()?, fields.next()?);
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    let text = match charset.to_ascii_lowercase().as_slice() {
        b"utf-8" => String::from_utf8(bytes).ok()?,
        b"iso-8859-1" => latin1(&bytes),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| latin1(bytes), str::to_owned)
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

fn presentable(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut base: String = base.chars().filter(|c| !c.is_control()).collect();
    while base.len() > MAX_FILE_NAME {
        base.pop();
    }
    base
}

const MAX_FILE_NAME: usize = 255;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn file_names_as_uploaders_write_them() {
        for (written, read) in [
            (&br#"filename="a.pdf""#[..], Some("a.pdf")),
            (b"filename=a.pdf", Some("a.pdf")),
            (b"FileName = \"a.pdf\" ; x=y", Some("a.pdf")),
            (br#"filename="a;b=c.pdf""#, Some("a;b=c.pdf")),
            ("filename=\"Übung ✓.pdf\"".as_bytes(), Some("Übung ✓.pdf")),
            (b"filename=\"r\xe9sum\xe9.pdf\"", Some("résumé.pdf")),
            (br#"filename="a%22b%0D%0ac%25.pdf""#, Some("a\"bc%25.pdf")),
            (br#"filename="a\"b\\c\d.pdf""#, Some("d.pdf")),
            (br#"filename="say \"hi\".pdf""#, Some("say \"hi\".pdf")),
            (br#"filename="C:\fakepath\new.pdf""#, Some("new.pdf")),
            (b"filename=\"../../etc/passwd\"", Some("passwd")),
            (b"filename=\"a\x00\x1b\x7f.pdf\"", Some("a.pdf")),
            (b"filename=\"..\\\"", None),
            (b"filename=\"dir/\"", Some("")),
            (b"filename=\"\"", None),
            (b"filename=", None),
            (b"filename=\"x.pdf\"; filename*=UTF-8''%e2%82%ac.pdf", Some("€.pdf")),
            (b"filename*=utf-8'en'..%2Fa%00.pdf; filename=x", Some("a.pdf")),
            (b"filename*=iso-8859-1''%e9.pdf; filename=x", Some("é.pdf")),
            (b"filename*=UTF-8''%ff; filename=x", Some("x")),
            (b"filename*=koi8-r''%ff; filename=x", Some("x")),
            (b"filename*=nonsense; filename=x", Some("x")),
            (b"filename*=UTF-8''; filename=x", Some("x")),
        ] {
            let value = [b"form-data; name=f; ", written].concat();
            let parsed = Disposition::parse(&value).and_then(|parsed| parsed.file_name);
            assert_eq!(parsed.as_deref(), read, "{}", written.escape_ascii());
        }
    }

    #[test]
    fn field_names_keep_what_they_hold() {
        for (written, read) in [
            (&br#"form-data; name="a%22b""#[..], "a\"b"),
            (b"Form-Data;name=a", "a"),
            (b"form-data; name=\"dir/file[0]\"", "dir/file[0]"),
            (b"form-data; name=\"do\x00c\"", "do\0c"),
            (b"form-data; name=\"\xe9\"", "é"),
            (b"form-data; name=\"\"", ""),
        ] {
            let parsed = Disposition::parse(written).unwrap();
            assert_eq!((parsed.kind.as_str(), parsed.name.as_deref()), ("form-data", Some(read)));
        }
    }

    #[test]
    fn doubt_is_an_error() {
        for value in [
            &b"form-data; name=\"a"[..],
            b"form-data; name=\"a\\\"",
            b"form-data; name=\"a\"b",
            b"form-data; name=a; name=b",
            b"form-data; filename=a; filename=b; name=c",
            b"form-data; name; filename=a",
            b"\xff; name=a",
        ] {
            assert_eq!(Disposition::parse(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let value = format!("form-data; name=f; filename=\"a{}\"", "€".repeat(100));
        let name = Disposition::parse(value.as_bytes()).unwrap().file_name.unwrap();
        assert_eq!(name, format!("a{}", "€".repeat(84)));
    }

    proptest! {
        #[test]
        fn what_a_browser_writes_is_read_back(name in "[^\\\\\r\n]{0,40}", file in "[^\\\\/\\p{Cc}%]{1,60}") {
            let escaped = |text: &str| text.replace('"', "%22");
            prop_assume!(!name.contains("%22") && !name.contains("%0"));
            let value =
                format!("form-data; name=\"{}\"; filename=\"{}\"", escaped(&name), escaped(&file));
            let parsed = Disposition::parse(value.as_bytes()).unwrap();
            prop_assert_eq!(parsed.name, Some(name));
            prop_assert_eq!(parsed.file_name, Some(file));
        }

        #[test]
        fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let value = [b"form-data; filename=\"".as_slice(), &value].concat();
            if let Some(name) = Disposition::parse(&value).and_then(|parsed| parsed.file_name) {
                prop_assert!(name.len() <= MAX_FILE_NAME);
                prop_assert!(!name.contains(|c: char| c.is_control() || c == '/' || c == '\\'));
            }
        }
    }
}
