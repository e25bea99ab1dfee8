//! JSON as apps send it. Pure.

use encoding_rs::{Encoding, UTF_8};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use serde_json::Value;

/// The JSON of a body, whatever its Content-Type says: after a byte order mark, in the charset of its Content-Type,
/// and behind the prefixes by which apps keep scripts of other origins from reading it.
pub(crate) fn read_json(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let text = &body[json_start(body)..];
    if let Ok(value) = serde_json::from_slice(text) {
        return Some(value);
    }
    let (decoded, _, malformed) = charset(headers).decode(body);
    let text = decoded.as_bytes();
    (!malformed).then(|| serde_json::from_slice(&text[json_start(text)..]).ok())?
}

/// Where the JSON text begins in a body in UTF-8: behind a byte order mark (RFC 8259, section 8.1, lets readers skip
/// it) and behind one guarding prefix. What stands before has to stay where it is when the text is edited.
pub(crate) fn json_start(body: &[u8]) -> usize {
    let marked = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let rest = body.get(marked..).unwrap_or_default();
    let blank = rest.len() - rest.trim_ascii_start().len();
    let rest = rest.trim_ascii_start();
    let guard = GUARDS.iter().find(|guard| rest.starts_with(guard)).map(|guard| guard.len());
    match guard {
        // Angular's is followed by a comma, by a line break, or by nothing.
        Some(length) => {
            let behind = rest.get(length..).unwrap_or_default();
            marked + blank + length + usize::from(behind.starts_with(b","))
        }
        None => marked,
    }
}

/// Unicode unless the Content-Type names another charset.
fn charset(headers: &HeaderMap) -> &'static Encoding {
    let named = headers.get(CONTENT_TYPE).and_then(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        let at = memmem::find(&value, b"charset=")? + b"charset=".len();
        let name = value.get(at..)?.split(|byte| matches!(byte, b';' | b' ')).next()?;
        Encoding::for_label(
            name.trim_ascii()
                .strip_prefix(b"\"")
                .map_or(name, |n| n.strip_suffix(b"\"").unwrap_or(n)),
        )
    });
    named.unwrap_or(UTF_8)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Of Angular and Gerrit, of Facebook, and of Google.
const GUARDS: [&[u8]; 4] = [b")]}'", b"while(1);", b"for(;;);", b"for (;;);"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Option<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        read_json(&headers, body)
    }

    #[test]
    fn json_as_apps_send_it() {
        let id = serde_json::json!({ "id": "ü7" });
        let utf16: Vec<u8> =
            "\u{feff}{\"id\":\"ü7\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (content_type, body) in [
            ("application/json", "{\"id\":\"ü7\"}".as_bytes()),
            ("text/html", "\u{feff}{\"id\":\"ü7\"}".as_bytes()),
            ("application/json; charset=ISO-8859-1", b"{\"id\":\"\xfc7\"}"),
            ("application/json; charset=\"latin1\"; x=y", b"{\"id\":\"\xfc7\"}"),
            ("application/json;charset=windows-1252", b"{\"id\":\"\xfc7\"}"),
            ("application/json; charset=utf-16", &utf16),
            ("application/json", &utf16),
            ("application/json", ")]}',\n{\"id\":\"ü7\"}".as_bytes()),
            ("application/json", ")]}'\n{\"id\":\"ü7\"}".as_bytes()),
            ("application/json", "while(1);{\"id\":\"ü7\"}".as_bytes()),
            ("application/json", "\u{feff} for(;;); {\"id\":\"ü7\"}".as_bytes()),
        ] {
            assert_eq!(read(content_type, body), Some(id.clone()), "{content_type}: {body:?}");
        }
        for none in [&b"<html>"[..], b"", b")]}'", b"{\"id\":\"\xfc7\"}", b"x=1;{\"id\":7}"] {
            assert_eq!(read("application/json", none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn the_start_is_within_the_body(body: Vec<u8>) {
            prop_assert!(json_start(&body) <= body.len());
            read("application/json; charset=utf-16le", &body);
        }
    }
}
