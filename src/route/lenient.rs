//! What a path may become in the hands of an app that reads paths less strictly than Transom does.
//!
//! Servers and frameworks decode twice, collapse slashes, resolve dot segments, take `\` for `/` and drop what
//! follows `;`, in any combination. Transom does none of it, so a path on which it matters is no route's.
//!
//! What was encoded is data, though: `%23`, `%3F`, `%3B` and `%5C` in a segment that a rule captures are a part of the
//! id, since servers split a path before they decode it. It is a trick all the same where it makes dot segments, where
//! it is encoded twice, and where no rule takes the path as it is.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// Every other reading of this path, percent-encoded again; none, without allocating, for a plain path.
/// `encoded_is_data`: a rule takes the path as it is.
pub(crate) fn readings(path: &str, encoded_is_data: bool) -> Vec<String> {
    if !is_doubtful(path) {
        return Vec::new();
    }
    let mut readings: Vec<String> = Vec::new();
    let mut text = path.as_bytes().to_vec();
    // As it came, its percent signs are still escapes.
    let mut encoded = CONTROLS;
    for decodings in 0..=DECODINGS {
        let is_data = encoded_is_data && decodings == 1;
        for (backslash, parameters) in [(false, false), (false, true), (true, false), (true, true)]
        {
            if is_data && (backslash || parameters) && !makes_dots(&text, backslash, parameters) {
                continue;
            }
            let reading = tidy(&text, backslash, parameters, is_data, encoded);
            if reading != path && !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        let decoded = decode(&text);
        if decoded == text {
            break;
        }
        text = decoded;
        encoded = DECODED;
    }
    readings
}

/// Most paths are plain, so this is all that is done for them.
fn is_doubtful(path: &str) -> bool {
    let mut before = 0;
    path.bytes().any(|byte| {
        let doubtful = matches!(byte, b'%' | b';' | b'\\')
            || !byte.is_ascii()
            || (before == b'/' && matches!(byte, b'/' | b'.'));
        before = byte;
        doubtful
    })
}

/// One percent-decoding, with the overlong forms of `.`, `/` and `\` that lax UTF-8 decoders take for these.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded: Vec<u8> = percent_decode(text).collect();
    for (overlong, byte) in OVERLONG {
        while let Some(at) = decoded.windows(overlong.len()).position(|window| window == *overlong)
        {
            decoded.splice(at..at + overlong.len(), [*byte]);
        }
    }
    decoded
}

fn makes_dots(text: &[u8], backslash: bool, parameters: bool) -> bool {
    let is_end =
        |byte: &u8| *byte == b'/' || (backslash && *byte == b'\\') || (parameters && *byte == b';');
    text.split(is_end).any(|part| matches!(part, b"." | b".."))
}

/// Collapsed slashes, resolved dot segments, and on request the rest.
fn tidy(
    text: &[u8],
    backslash: bool,
    parameters: bool,
    is_data: bool,
    encoded: &'static AsciiSet,
) -> String {
    let is_slash = |byte: &u8| *byte == b'/' || (backslash && *byte == b'\\');
    // Some end a path at NUL, at a fragment, or at a query that was encoded.
    let is_end = |byte: &u8| *byte == 0 || (!is_data && matches!(byte, b'?' | b'#'));
    let end = text.iter().position(is_end).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"";
    for segment in text.split(is_slash) {
        let end = segment.iter().position(|byte| parameters && *byte == b';');
        last = segment.get(..end.unwrap_or(segment.len())).unwrap_or(segment);
        match last {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut tidied = String::with_capacity(text.len() + 1);
    for segment in &segments {
        tidied.push('/');
        tidied.extend(percent_encode(segment, encoded));
    }
    if segments.is_empty() || matches!(last, b"" | b"." | b"..") {
        tidied.push('/');
    }
    tidied
}

/// Apps that decode more often have not been seen.
const DECODINGS: usize = 3;
const OVERLONG: &[(&[u8], u8)] = &[
    (b"\xc0\xae", b'.'),
    (b"\xc0\xaf", b'/'),
    (b"\xc1\x9c", b'\\'),
    (b"\xe0\x80\xae", b'.'),
    (b"\xe0\x80\xaf", b'/'),
    (b"\xe0\x81\x9c", b'\\'),
    (b"\xf0\x80\x80\xae", b'.'),
    (b"\xf0\x80\x80\xaf", b'/'),
];
/// What a pattern would take for something else. Letters and digits stay, so that classes still hold.
const DECODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'/').add(b'?').add(b'#').add(b'\\');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_paths_have_no_other_reading() {
        for path in ["/", "/files/7", "/files/a.b-c_d~e/", "/a/b..c/x.y", "*", "/a:b@c!$&'()*+,="] {
            assert_eq!(readings(path, false), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn readings_are_what_lax_apps_make_of_a_path() {
        for (path, reading) in [
            ("//files//7", "/files/7"),
            ("/x/../files/7", "/files/7"),
            ("/x/%2e%2E/files/7", "/files/7"),
            ("/x/%252e%252e/files/7", "/files/7"),
            ("/x%2F..%2Ffiles%2F7", "/files/7"),
            ("/x/..;/files/7", "/files/7"),
            ("/files;v=1/7;a", "/files/7"),
            ("/files\\7", "/files/7"),
            ("/files%5c7", "/files/7"),
            ("/x/%c0%ae%c0%ae/files/7", "/files/7"),
            ("/files/7%00.pdf", "/files/7"),
            ("/files/7/.", "/files/7/"),
            ("/files/100%25", "/files/100%25"),
        ] {
            let readings = readings(path, false);
            let kept = path == reading && readings.iter().all(|other| other != reading);
            assert!(kept || readings.iter().any(|other| other == reading), "{path}: {readings:?}");
        }
    }

    proptest! {
        #[test]
        fn readings_are_few_and_paths(path in "/(/|%25|%2e|%2F|%5c|;|\\.|[a-z]|é|\\\\){0,30}") {
            let readings = readings(&path, false);
            prop_assert!(readings.len() <= 4 * (DECODINGS + 1));
            prop_assert!(readings.iter().all(|reading| reading.starts_with('/')));
        }
    }
}
