//! Encoded words (RFC 2047), as .NET's `HttpClient` and mail libraries write file names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `text` with its encoded words decoded. One that can't be decoded stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut follows_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let word = word(from);
        // Blanks between two words belong to neither (RFC 2047, 6.2).
        if !(follows_word && word.is_some() && before.trim().is_empty()) {
            out.push_str(before);
        }
        follows_word = word.is_some();
        match word {
            Some((text, after)) => {
                out.push_str(&text);
                rest = after;
            }
            None => {
                out.push_str("=?");
                rest = from.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// `=?charset?B|Q?text?=`, and what follows.
fn word(input: &str) -> Option<(String, &str)> {
    let (charset, rest) = input.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (text, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).ok()?,
        "Q" | "q" => quoted(text.as_bytes())?,
        _ => return None,
    };
    // RFC 2231 lets a language follow the charset.
    let charset = charset.split('*').next().unwrap_or_default().to_ascii_lowercase();
    let text = match charset.as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" | "windows-1252" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((text, after))
}

/// RFC 2047, 4.2.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'_' => out.push(b' '),
            b'=' => {
                let (code, after) = rest.split_at_checked(2)?;
                out.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
                rest = after;
            }
            byte => out.push(*byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_and_other_text_stays() {
        for (written, read) in [
            ("=?utf-8?B?w5xidW5nLnBkZg==?=", "Übung.pdf"),
            ("=?UTF-8?q?=C3=9Cbung_1.pdf?=", "Übung 1.pdf"),
            ("=?utf-8?B?w5xi?= =?utf-8?B?dW5nLnBkZg==?=", "Übung.pdf"),
            ("=?iso-8859-1?Q?r=E9sum=E9?= 2.pdf", "résumé 2.pdf"),
            ("=?utf-8*en?B?YQ==?=", "a"),
            ("a=?b.pdf", "a=?b.pdf"),
            ("=?utf-8?B?!?=", "=?utf-8?B?!?="),
            ("=?utf-8?B?/w==?=", "=?utf-8?B?/w==?="),
            ("=?koi8-r?B?YQ==?= =?x", "=?koi8-r?B?YQ==?= =?x"),
            ("=?utf-8?Q?a=?=", "=?utf-8?Q?a=?="),
            ("=?=?utf-8?B?YQ==?=", "=?a"),
        ] {
            assert_eq!(decoded(written), read, "{written}");
        }
    }
}
