//! One walk through a JSON text, which finds out whether it is one (RFC 8259) and where a value goes.

use std::borrow::Cow;
use std::ops::Range;

use super::splice::SpliceError;

/// Where a value goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Value(Range<usize>),
    /// Right after the `{` of an object, with a comma when other members follow.
    NewMember {
        at: usize,
        comma: bool,
    },
}

/// The place for the value at a pointer of these tokens; `None` if the pointer leads nowhere.
pub(super) fn locate(body: &[u8], tokens: &[String]) -> Result<Option<Place>, SpliceError> {
    if !body.is_ascii() && std::str::from_utf8(body).is_err() {
        return Err(SpliceError::NotJson);
    }
    let mut walk = Walk {
        body,
        at: start(body),
        tokens,
        open: Vec::new(),
        followed: 0,
        ahead: None,
        begun: None,
        place: None,
    };
    walk.text().ok_or(SpliceError::NotJson)?;
    Ok(walk.place)
}

/// Where the JSON begins: behind a byte order mark, and behind what keeps a page of another site from running the
/// text as a script, which the app's own scripts skip too.
fn start(body: &[u8]) -> usize {
    let mark: &[u8] = b"\xEF\xBB\xBF";
    let at = if body.starts_with(mark) { mark.len() } else { 0 };
    let text = body.get(at..).unwrap_or_default();
    let guard = GUARDS.iter().find(|guard| text.starts_with(guard));
    at + guard.map_or(0, |guard| guard.len())
}

/// The longer before those that they begin with.
const GUARDS: [&[u8]; 8] =
    [b")]}',", b")]}'", b"{}&&", b"{} &&", b"while(1);", b"while (1);", b"for(;;);", b"for (;;);"];

/// RFC 6901 section 4: no leading zeros, and `-` names no existing element.
pub(super) fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (token == "0" || !token.starts_with('0'));
    plain.then(|| token.parse().ok()).flatten()
}

/// Without recursion, since the text may be as deep as it is long. `None` anywhere: it is no JSON.
struct Walk<'b> {
    body: &'b [u8],
    at: usize,
    /// Each names a member or an element in the container that is open at its depth.
    tokens: &'b [String],
    open: Vec<Container>,
    /// How many of the open containers, from the outermost, the pointer leads through.
    followed: usize,
    /// In the innermost of these, if it is an array: the elements before the one that the pointer names.
    ahead: Option<usize>,
    /// Where the value that the pointer names began, while that is not over.
    begun: Option<usize>,
    place: Option<Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

impl Walk<'_> {
    fn text(&mut self) -> Option<()> {
        let mut named = true;
        loop {
            self.skip_whitespace();
            if named {
                self.follow();
            }
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    self.enter(
                        if open == b'{' { Container::Object } else { Container::Array },
                        named,
                    );
                    self.skip_whitespace();
                    match (open, self.peek()?) {
                        (b'{', b'}') | (b'[', b']') => self.leave(),
                        (b'{', _) => {
                            named = self.name()?;
                            continue;
                        }
                        _ => {
                            named = self.is_named_element();
                            continue;
                        }
                    }
                }
                b'"' => self.string()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => self.number()?,
            }
            match self.after_value()? {
                Some(next) => named = next,
                None => return Some(()),
            }
        }
    }

    /// From the end of a value to the next one, and whether the pointer names that; `None` at the end of the text.
    fn after_value(&mut self) -> Option<Option<bool>> {
        loop {
            if self.open.len() == self.tokens.len()
                && let Some(begun) = self.begun.take()
            {
                self.place = Some(Place::Value(begun..self.at));
            }
            self.skip_whitespace();
            let Some(container) = self.open.last() else {
                return (self.at == self.body.len()).then_some(None);
            };
            match (container, self.peek()?) {
                (Container::Object, b',') => {
                    self.at += 1;
                    self.skip_whitespace();
                    return self.name().map(Some);
                }
                (Container::Array, b',') => {
                    self.at += 1;
                    return Some(Some(self.is_named_element()));
                }
                (Container::Object, b'}') | (Container::Array, b']') => self.leave(),
                _ => return None,
            }
        }
    }

    /// A value begins that the pointer names, or leads through. What was found in another one of the same name
    /// does not count any more.
    fn follow(&mut self) {
        self.place = None;
        self.begun = (self.open.len() == self.tokens.len()).then_some(self.at);
    }

    /// Stands behind the opening bracket.
    fn enter(&mut self, container: Container, named: bool) {
        if named && let Some(token) = self.tokens.get(self.open.len()) {
            self.followed = self.open.len() + 1;
            self.ahead = match container {
                Container::Array => index(token),
                Container::Object => None,
            };
            if container == Container::Object && self.followed == self.tokens.len() {
                self.place = Some(Place::NewMember { at: self.at, comma: false });
            }
        }
        self.open.push(container);
    }

    /// Stands at the closing bracket.
    fn leave(&mut self) {
        self.at += 1;
        self.open.pop();
        if self.followed > self.open.len() {
            self.followed = self.open.len();
            self.ahead = None;
        }
    }

    /// Reads the name of a member up to its value. Whether the pointer names it.
    fn name(&mut self) -> Option<bool> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        let named = self.is_followed() && self.is_token(start..self.at);
        // Of that object, and not of one around it.
        if self.is_followed()
            && self.followed == self.tokens.len()
            && let Some(Place::NewMember { comma, .. }) = &mut self.place
        {
            *comma = true;
        }
        self.skip_whitespace();
        self.take(b':').then_some(named)
    }

    fn is_named_element(&mut self) -> bool {
        if !self.is_followed() {
            return false;
        }
        let ahead = self.ahead.take();
        self.ahead = ahead.and_then(|ahead| ahead.checked_sub(1));
        ahead == Some(0)
    }

    /// Whether the pointer leads through the innermost container.
    fn is_followed(&self) -> bool {
        self.followed == self.open.len()
    }

    /// Whether the quoted name in this range means the token of the innermost container, however it is escaped.
    fn is_token(&self, name: Range<usize>) -> bool {
        let token = self.open.len().checked_sub(1).and_then(|depth| self.tokens.get(depth));
        let (Some(token), Some(name)) = (token, self.body.get(name)) else { return false };
        if let [b'"', plain @ .., b'"'] = name
            && !plain.contains(&b'\\')
        {
            return plain == token.as_bytes();
        }
        serde_json::from_slice::<Cow<'_, str>>(name).is_ok_and(|name| name == *token)
    }

    /// Stands at the opening quote.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.body.get(self.at..)?;
            self.at += plain(rest);
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            self.next().filter(u8::is_ascii_hexdigit)?;
                        }
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.next().filter(u8::is_ascii_digit)?;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Some(())
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.body.get(self.at..)?.starts_with(text).then(|| self.at += text.len())
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
}

/// How many bytes come before one that means something in a string, or must not be there as it is.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let many = plain_chunks::<64>(bytes);
    let more = many + plain_chunks::<16>(bytes.get(many..).unwrap_or_default());
    let rest = bytes.get(more..).unwrap_or_default();
    more + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

fn plain_chunks<const N: usize>(bytes: &[u8]) -> usize {
    // Without an early end within a chunk, which would keep the compiler from taking many bytes at once.
    let odd = |chunk: &[u8; N]| chunk.iter().fold(0, |any, byte| any | u8::from(is_special(*byte)));
    N * bytes.as_chunks().0.iter().take_while(|chunk| odd(chunk) == 0).count()
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(body: &[u8]) -> bool {
        locate(body, &[]).is_ok()
    }

    fn serde_says(body: &[u8]) -> bool {
        std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    #[test]
    fn the_grammar_of_rfc_8259() {
        for json in [
            "0",
            "-0",
            "10.50e+07",
            "1E9",
            " [ ] ",
            "[[],{}]",
            "{\"\":\"\"}",
            "\"\\u00e9\\ud800\\/\"",
            "true",
            "[false,null]",
            "\"\u{7f}\u{e9}\"",
        ] {
            assert!(is_json(json.as_bytes()) && serde_says(json.as_bytes()), "{json}");
        }
        for other in [
            "",
            " ",
            "00",
            "-",
            "+1",
            "1.",
            ".1",
            "1e",
            "1e+",
            "0x1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "[1}",
            "{\"a\":1]",
            "[",
            "]",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"\t\"",
            "tru",
            "truex",
            "nul",
            "1 1",
            "1\u{feff}",
            "\u{a0}1",
            "\u{c}1",
        ] {
            assert!(!is_json(other.as_bytes()) && !serde_says(other.as_bytes()), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn judges_as_serde_json_does(
            body in prop::collection::vec(prop_oneof![
                1 => any::<u8>(),
                9 => prop::sample::select(&b"{}[]\",:\\ 01.eE-+utrfalsn\n"[..]),
            ], 0..24),
        ) {
            prop_assert_eq!(is_json(&body), serde_says(&body));
        }

        #[test]
        fn judges_strings_as_serde_json_does(text in "[ -~\u{0}-\u{1f}\u{e9}]{0,80}", at: usize, odd: u8) {
            let mut body = serde_json::to_vec(&text).unwrap_or_default();
            prop_assert!(is_json(&body));
            let at = at % body.len();
            body[at] = odd;
            prop_assert_eq!(is_json(&body), serde_says(&body));
        }
    }
}
