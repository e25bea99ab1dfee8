//! What a peer wrote, made fit for logs and error texts: bounded, on one line, without secrets.

/// `text` on one line of at most [`MAX_CHARS`] characters, without `key` and without anything that
/// looks like a JSON Web Token.
pub(super) fn scrub(text: &str, key: &str) -> String {
    // Before the secrets are looked for, since a dropped character may be what split one.
    let text: String = text
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .filter(|char| !char.is_control() && !INVISIBLE.contains(char))
        .collect();
    let text = if key.is_empty() { text } else { text.replace(key, KEY_MARK) };
    shorten(&without_tokens(&text))
}

/// The same for a text that was cut after a fixed number of bytes: what may be the beginning of a
/// secret at its end goes too.
pub(super) fn scrub_cut(text: &str, key: &str) -> String {
    scrub(text.trim_end_matches(|char: char| !char.is_whitespace()), key)
}

/// The request id that DWS's error bodies may hold, at the top or in `error`.
pub(super) fn request_id(body: &serde_json::Value) -> Option<&str> {
    ["/requestId", "/error/requestId"]
        .into_iter()
        .find_map(|pointer| body.pointer(pointer)?.as_str())
        .filter(|id| !id.is_empty() && id.len() <= 100)
}

fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_token_char) {
        let (before, from) = rest.split_at(start);
        let (run, after) =
            from.split_at(from.find(|char| !is_token_char(char)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(if looks_like_jwt(run) { TOKEN_MARK } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A segment that begins like the base64 of `{"`, whole or cut, or three long dotted segments.
fn looks_like_jwt(run: &str) -> bool {
    run.split('.').any(|segment| segment.starts_with("eyJ") && segment.len() >= 10)
        || (run.split('.').count() == 3 && run.split('.').all(|segment| segment.len() >= 16))
}

fn is_token_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.')
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const MAX_CHARS: usize = 300;
const KEY_MARK: &str = "[key]";
const TOKEN_MARK: &str = "[token]";
/// Zero-width and direction marks: they change how a log line reads without showing.
const INVISIBLE: [char; 12] = [
    '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2060}', '\u{feff}',
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KEY: &str = "pdf_live_0123456789abcdef";
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.c2lnbmF0dXJlLWJ5dGVz";

    #[test]
    fn keys_and_tokens_are_replaced() {
        let text = format!("refused Authorization: Bearer {KEY}; jwt=\"{JWT}\", try again");
        assert_eq!(
            scrub(&text, KEY),
            "refused Authorization: Bearer [key]; jwt=\"[token]\", try again"
        );
    }

    #[test]
    fn a_secret_split_by_control_characters_is_still_found() {
        let split = KEY.replace('_', "_\u{200b}\u{7}");
        assert_eq!(scrub(&split, KEY), "[key]");
    }

    #[test]
    fn a_cut_text_loses_its_last_word() {
        let cut = format!("sent {}", KEY.get(..12).unwrap());
        assert_eq!(scrub_cut(&cut, KEY), "sent");
    }

    #[test]
    fn ordinary_text_stays() {
        let text = "Document 01J8ZC9S0N5V8R6Q2W3E4R5T6Y of app.example.com is not v1.22.0";
        assert_eq!(scrub(text, KEY), text);
    }

    #[test]
    fn the_request_id_is_found_in_both_places() {
        assert_eq!(request_id(&json!({"requestId": "abc"})), Some("abc"));
        assert_eq!(request_id(&json!({"error": {"requestId": "abc"}})), Some("abc"));
        assert_eq!(request_id(&json!({"requestId": 7})), None);
    }

    proptest! {
        #[test]
        fn any_text_ends_short_on_one_line_and_without_the_key(
            before in ".{0,400}", after in ".{0,400}", noise in "[\\x00-\\x1f]{0,3}",
        ) {
            let (head, tail) = KEY.split_at(7);
            let scrubbed = scrub(&format!("{before}{head}{noise}{tail}{after}"), KEY);
            prop_assert!(scrubbed.chars().count() <= MAX_CHARS + 1);
            prop_assert!(!scrubbed.contains(char::is_control));
            prop_assert!(!scrubbed.contains(KEY));
        }
    }
}
