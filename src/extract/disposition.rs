//! Content-Disposition as browsers and other uploaders write it, and as readers differ on it.
//!
//! Browsers follow the HTML standard ("multipart/form-data encoding algorithm"): raw UTF-8 in
//! quotes, with `"`, CR and LF as `%22`, `%0D` and `%0A`. Others escape `"` and `\` with a
//! backslash (RFC 9110, 5.6.4), and .NET writes encoded words (RFC 2047). Bytes that are not UTF-8
//! are read as Latin-1, which keeps the names of western legacy clients legible and never fails.

use percent_encoding::percent_decode;

use super::encoded_words;
use super::parameters::{Parameterized, is_read_alike};

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
    pub(crate) names_file: NamesFile,
    /// All readers find the same name and parameters in it.
    pub(crate) is_certain: bool,
}

/// Whether there is a file by its `filename`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesFile {
    No,
    Yes,
    /// `filename=""`
    Empty,
    /// Only for those who read `filename*` (RFC 8187), which RFC 7578 forbids here and PHP ignores.
    Unclear,
}

impl Disposition {
    /// `None` for what can't be read with certainty: broken quoting, or a parameter given twice.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let parsed = Parameterized::parse(value)?;
        let readable = |name| parsed.value(name).map(|value| text(&unescaped(value)));
        let extended = parsed.value(b"filename*").and_then(extended_text);
        let plain = || readable(b"filename").map(|name| encoded_words::decoded(&name));
        let file_name = extended.or_else(plain).filter(|name| !name.is_empty());
        Some(Self {
            name: readable(b"name"),
            file_name: file_name.map(|name| presentable(&name)),
            names_file: names_file(&parsed),
            is_certain: is_read_alike(value)
                && !parsed.names().any(|name| name.starts_with(b"name*"))
                && parsed.value(b"name").is_none_or(is_certain_name),
            kind: parsed.kind,
        })
    }
}

fn names_file(parsed: &Parameterized) -> NamesFile {
    let is_extended = parsed.names().any(|name| name.starts_with(b"filename*"));
    match parsed.value(b"filename") {
        Some(b"") if !is_extended => NamesFile::Empty,
        Some(name) if !name.trim_ascii().is_empty() => NamesFile::Yes,
        None if !is_extended => NamesFile::No,
        _ => NamesFile::Unclear,
    }
}

/// Without what some readers undo: backslashes, encoded words, a charset that has to be guessed.
fn is_certain_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| !name.contains(['\\', '"']) && !name.contains("=?"))
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
            (b"filename=\"=?utf-8?B?w5xidW5nLnBkZg==?=\"", Some("Übung.pdf")),
            (b"filename=\"=?utf-8?B?w5xi?= =?UTF-8?q?ung=20?=1.pdf\"", Some("Übung 1.pdf")),
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
    fn what_readers_read_differently_is_not_certain() {
        for (parameters, certain) in [
            (&br#"name="a"; filename="C:\dir\b.pdf""#[..], true),
            (br#"name=a; filename="say \"hi\".pdf""#, true),
            (br#"name="a"; filename="it's.pdf""#, true),
            (br#"name="a"; filename="1\" pipe.pdf""#, true),
            (br#"filename="1\" pipe.pdf"; name="a""#, false),
            (br#"filename="a\"; name=\"b.pdf"; name="a""#, false),
            (br#"name='a'; filename="b.pdf""#, false),
            (br#"name=it's; filename="b.pdf""#, false),
            (br#"name="a\"b""#, false),
            (br#"name="a\b""#, false),
            (br#"name="a"; filename="b; name=c""#, false),
            (br#"filename="b\\"; name="a""#, false),
            (br#"name="a"; name*=utf-8''b"#, false),
            (br#"name="=?utf-8?Q?a?=""#, false),
            (br#"name=a b"#, false),
            (b"name=\"\xe9\"", false),
        ] {
            let value = [b"form-data; ", parameters].concat();
            let read = Disposition::parse(&value);
            let shown = parameters.escape_ascii();
            assert_eq!(read.is_some_and(|read| read.is_certain), certain, "{shown}");
        }
    }

    #[test]
    fn whether_there_is_a_file() {
        for (parameters, expected) in [
            ("name=a", NamesFile::No),
            ("name=a; filename=b", NamesFile::Yes),
            ("name=a; filename=\"\"", NamesFile::Empty),
            ("name=a; filename=\" \"", NamesFile::Unclear),
            ("name=a; filename*=utf-8''b", NamesFile::Unclear),
            ("name=a; filename*0=b; filename*1=c", NamesFile::Unclear),
            ("name=a; filename=\"\"; filename*=utf-8''b", NamesFile::Unclear),
            ("name=a; filename=b; filename*=utf-8''c", NamesFile::Yes),
        ] {
            let value = format!("form-data; {parameters}");
            let read = Disposition::parse(value.as_bytes()).unwrap();
            assert_eq!(read.names_file, expected, "{parameters}");
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
