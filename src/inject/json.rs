//! Sets one value of a JSON text by editing bytes, so that the order, the spacing and the numbers of
//! everything else stay as the app wrote them.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::Pointer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpliceError {
    /// Not one JSON text in UTF-8 without a byte order mark (RFC 8259, section 8.1).
    NotJson,
    /// A parent is missing, is no container, or an array has no such element.
    PointerUnmatched,
}

/// Where in a JSON text a value goes, and what has to stand around it.
#[derive(Debug)]
pub(crate) struct Edit {
    range: Range<usize>,
    before: Vec<u8>,
    after: &'static str,
}

impl Edit {
    /// Finds the place for a value at `pointer`.
    ///
    /// A value that is there will be replaced, whatever its type. A member that is missing from an
    /// existing object will be added as its first; arrays don't grow. Of members with the same name
    /// the last counts, as for most parsers.
    pub(crate) fn find(body: &[u8], pointer: &Pointer) -> Result<Self, SpliceError> {
        let text = std::str::from_utf8(body).map_err(|_| SpliceError::NotJson)?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| SpliceError::NotJson)?;
        Ok(match locate(body, pointer).ok_or(SpliceError::PointerUnmatched)? {
            Place::Value(range) => Self { range, before: Vec::new(), after: "" },
            Place::NewMember { at, name, comma } => {
                let mut before = Vec::with_capacity(name.len() + 3);
                quote_into(&mut before, name);
                before.push(b':');
                Self { range: at..at, before, after: if comma { "," } else { "" } }
            }
        })
    }

    /// Puts the JSON string `value` there, and leaves every other byte of `body`, in which the place
    /// was found, as it is.
    pub(crate) fn put(&self, body: &[u8], value: &str) -> Vec<u8> {
        let (head, tail) = (body.get(..self.range.start), body.get(self.range.end..));
        let longest = body.len() + self.before.len() + value.len() + 3;
        let mut edited = Vec::with_capacity(longest);
        edited.extend_from_slice(head.unwrap_or_default());
        edited.extend_from_slice(&self.before);
        quote_into(&mut edited, value);
        edited.extend_from_slice(self.after.as_bytes());
        edited.extend_from_slice(tail.unwrap_or_default());
        edited
    }
}

/// Where the edit goes.
enum Place<'p> {
    Value(Range<usize>),
    /// Right after the `{` of an object, with a comma when other members follow.
    NewMember {
        at: usize,
        name: &'p str,
        comma: bool,
    },
}

/// `body` is valid JSON. `None`: the pointer leads nowhere.
fn locate<'p>(body: &[u8], pointer: &'p Pointer) -> Option<Place<'p>> {
    let mut scanner = Scanner { body, at: 0 };
    scanner.skip_whitespace();
    let mut tokens = pointer.0.iter().peekable();
    while let Some(token) = tokens.next() {
        let start = scanner.at;
        scanner.at = match scanner.peek()? {
            b'{' => match scanner.member(token) {
                Member::At(at) => at,
                Member::Absent { comma } if tokens.peek().is_none() => {
                    return Some(Place::NewMember { at: start + 1, name: token, comma });
                }
                Member::Absent { .. } => return None,
            },
            b'[' => scanner.element(index(token)?)?,
            _ => return None,
        };
    }
    let start = scanner.at;
    scanner.skip_value();
    Some(Place::Value(start..scanner.at))
}

/// RFC 6901 section 4: no leading zeros, and `-` names no existing element.
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (token == "0" || !token.starts_with('0'));
    plain.then(|| token.parse().ok()).flatten()
}

fn quote_into(json: &mut Vec<u8>, text: &str) {
    // A JWT, and most names. Without an early end, which would keep the compiler from taking many bytes at once.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        json.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

enum Member {
    /// The position of its value.
    At(usize),
    Absent {
        comma: bool,
    },
}

/// Walks valid JSON without recursion. On anything else it may end anywhere, but does not panic
/// and always ends.
struct Scanner<'b> {
    body: &'b [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Stands at `{`. Finds the last member of this name.
    fn member(&mut self, name: &str) -> Member {
        self.at += 1;
        let mut found = None;
        let mut comma = false;
        loop {
            self.skip_whitespace();
            if self.peek() != Some(b'"') {
                return found.map_or(Member::Absent { comma }, Member::At);
            }
            comma = true;
            let key = self.at;
            self.skip_string();
            let same = self.is_name(key..self.at, name);
            self.skip_whitespace();
            self.at += 1; // the colon
            self.skip_whitespace();
            if same {
                found = Some(self.at);
            }
            self.skip_value();
            self.skip_comma();
        }
    }

    /// Stands at `[`. Finds the position of an element.
    fn element(&mut self, index: usize) -> Option<usize> {
        self.at += 1;
        for _ in 0..index {
            self.skip_whitespace();
            if self.peek()? == b']' {
                return None;
            }
            self.skip_value();
            self.skip_comma();
        }
        self.skip_whitespace();
        (self.peek()? != b']').then_some(self.at)
    }

    /// Whether the quoted key in this range means `name`, however it is escaped.
    fn is_name(&self, key: Range<usize>, name: &str) -> bool {
        let key = self.body.get(key).unwrap_or_default();
        if let [b'"', plain @ .., b'"'] = key
            && !plain.contains(&b'\\')
        {
            return plain == name.as_bytes();
        }
        serde_json::from_slice::<Cow<'_, str>>(key).is_ok_and(|key| key == name)
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => return,
                Some(b'"') => self.skip_string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(_) => self.skip_while(|byte| !b",:]}[{\" \t\n\r".contains(&byte)),
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Stands at the opening quote.
    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            self.at += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(_) => {
                    self.at += 1;
                    return;
                }
                None => return,
            }
        }
    }

    fn skip_comma(&mut self) {
        self.skip_whitespace();
        if self.peek() == Some(b',') {
            self.at += 1;
        }
    }

    fn skip_whitespace(&mut self) {
        self.skip_while(|byte| b" \t\n\r".contains(&byte));
    }

    fn skip_while(&mut self, skip: impl Fn(u8) -> bool) {
        let rest = self.body.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|&byte| !skip(byte)).unwrap_or(rest.len());
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn splice(body: &[u8], pointer: &Pointer, value: &str) -> Result<Vec<u8>, SpliceError> {
        Edit::find(body, pointer).map(|edit| edit.put(body, value))
    }

    fn edit(body: &str, pointer: &str) -> Result<String, SpliceError> {
        splice(body.as_bytes(), &Pointer::parse(pointer).unwrap(), "S")
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn sets_one_value_and_touches_nothing_else() {
        for (body, pointer, expected) in [
            (r#"{"s":null}"#, "/s", r#"{"s":"S"}"#),
            (r#" {"a": 1.50, "s" : {"x":[]} } "#, "/s", r#" {"a": 1.50, "s" : "S" } "#),
            (r#"{"a":1}"#, "/s", r#"{"s":"S","a":1}"#),
            ("{\n}", "/s", "{\"s\":\"S\"\n}"),
            (r#"{"d":{"x":[1,{"y":2}]}}"#, "/d/x/1/y", r#"{"d":{"x":[1,{"y":"S"}]}}"#),
            (r#"[1e400, true, "a,]\"b"]"#, "/2", r#"[1e400, true, "S"]"#),
            (r#"[[],[0]]"#, "/1/0", r#"[[],["S"]]"#),
            (r#"{"0":[{}]}"#, "/0/0/s", r#"{"0":[{"s":"S"}]}"#),
            (r#"{"a":"\\","s":-0.0}"#, "/s", r#"{"a":"\\","s":"S"}"#),
            (r#"{"\u0073":1}"#, "/s", r#"{"\u0073":"S"}"#),
            (r#"{"s":1,"s":2}"#, "/s", r#"{"s":1,"s":"S"}"#),
            (r#"{"d":{"s":1},"d":{}}"#, "/d/s", r#"{"d":{"s":1},"d":{"s":"S"}}"#),
            (r#"{"\ud800":1}"#, "/s", r#"{"s":"S","\ud800":1}"#),
            ("7", "", "\"S\""),
            (r#"{"":{"a/b":0}}"#, "//a~1b", r#"{"":{"a/b":"S"}}"#),
        ] {
            assert_eq!(edit(body, pointer).as_deref(), Ok(expected), "{body} {pointer}");
        }
    }

    #[test]
    fn a_pointer_that_leads_nowhere() {
        for (body, pointer) in [
            ("{}", "/data/s"),
            (r#"{"data":7}"#, "/data/s"),
            (r#"{"data":{"s":{}},"data":7}"#, "/data/s"),
            ("[1]", "/1"),
            ("[1]", "/-"),
            ("[1]", "/00"),
            ("[1]", "/s"),
            ("[]", "/0"),
            ("[1]", "/99999999999999999999999"),
            ("null", "/s"),
        ] {
            assert_eq!(edit(body, pointer), Err(SpliceError::PointerUnmatched), "{body} {pointer}");
        }
    }

    #[test]
    fn what_is_not_json() {
        let pointer = Pointer::parse("/s").unwrap();
        for body in [
            &b""[..],
            b"{",
            b"{} {}",
            b"{'s':1}",
            b"{\"s\":01}",
            b"\xEF\xBB\xBF{}",
            b"{\"s\":\"\xFF\"}",
            b"{\0}",
            b"<html>",
        ] {
            assert_eq!(splice(body, &pointer, "S"), Err(SpliceError::NotJson), "{body:?}");
        }
    }

    #[test]
    fn deep_nesting_is_no_recursion() {
        let deep = format!("{{\"d\":{}{},\"s\":0}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(edit(&deep, "/s").unwrap().ends_with("\"s\":\"S\"}"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any_name(), inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab01]", "[\"\\\\/~\u{e9}\n]{1,2}"]
    }

    /// The same edit on the parsed value.
    fn set(document: &mut Value, tokens: &[String], value: &str) -> bool {
        let [first, rest @ ..] = tokens else {
            *document = Value::from(value);
            return true;
        };
        match document {
            Value::Object(members) if rest.is_empty() => {
                members.insert(first.clone(), Value::from(value));
                true
            }
            Value::Object(members) => {
                members.get_mut(first).is_some_and(|inner| set(inner, rest, value))
            }
            Value::Array(items) => index(first)
                .and_then(|at| items.get_mut(at))
                .is_some_and(|inner| set(inner, rest, value)),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn equals_setting_the_parsed_value(
            mut document in any_json(),
            pretty: bool,
            tokens in prop::collection::vec(any_name(), 0..4),
            value in ".{0,8}",
        ) {
            let body = if pretty {
                serde_json::to_string_pretty(&document).unwrap()
            } else {
                document.to_string()
            };
            let edited = splice(body.as_bytes(), &Pointer(tokens.clone()), &value);
            if set(&mut document, &tokens, &value) {
                let edited = edited.unwrap();
                prop_assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), document);
            } else {
                prop_assert_eq!(edited, Err(SpliceError::PointerUnmatched));
            }
        }

        #[test]
        fn bytes_outside_the_edit_are_the_apps(
            document in any_json(),
            tokens in prop::collection::vec(any_name(), 0..3),
        ) {
            let body = serde_json::to_vec_pretty(&document).unwrap();
            let pointer = Pointer(tokens);
            let Some(place) = locate(&body, &pointer) else { return Ok(()) };
            let range = match place {
                Place::Value(range) => range,
                Place::NewMember { at, .. } => at..at,
            };
            let edited = splice(&body, &pointer, "S").unwrap();
            prop_assert!(edited.starts_with(&body[..range.start]));
            prop_assert!(edited.ends_with(&body[range.end..]));
        }

        #[test]
        fn arbitrary_bytes_end_without_a_panic(
            body in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\ 01s"[..])], 0..40),
            tokens in prop::collection::vec("[s01]", 0..3),
        ) {
            let pointer = Pointer(tokens);
            let _ = splice(&body, &pointer, "S");
            let _ = locate(&body, &pointer);
        }
    }
}
