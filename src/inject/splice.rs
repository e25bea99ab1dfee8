//! Sets one value of a JSON text by editing bytes, so that the order, the spacing and the numbers of
//! everything else stay as the app wrote them.

use super::Pointer;
use super::walk::{Place, locate, plain};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpliceError {
    /// Not one JSON text in UTF-8 (RFC 8259, section 8.1).
    NotJson,
    /// A parent is missing, is no container, or an array has no such element.
    PointerUnmatched,
}

/// Where in a JSON text the value of a pointer goes.
#[derive(Debug)]
pub(crate) struct Edit(Place);

impl Edit {
    /// Finds the place for a value at `pointer`.
    ///
    /// A value that is there will be replaced, whatever its type. A member that is missing from an
    /// existing object will be added as its first; arrays don't grow. Of members with the same name
    /// the last counts, as for most parsers.
    pub(crate) fn find(body: &[u8], pointer: &Pointer) -> Result<Self, SpliceError> {
        locate(body, &pointer.0)?.map(Self).ok_or(SpliceError::PointerUnmatched)
    }

    /// Puts the JSON string `value` there, and leaves every other byte of `body` as it is. Body and pointer
    /// are those for which the place was found.
    pub(crate) fn put(&self, body: &[u8], pointer: &Pointer, value: &str) -> Vec<u8> {
        let (range, name, comma) = match &self.0 {
            Place::Value(range) => (range.clone(), None, false),
            Place::NewMember { at, comma } => (*at..*at, pointer.0.last(), *comma),
        };
        let (head, tail) = (body.get(..range.start), body.get(range.end..));
        let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
        let member = name.map_or(0, |name| name.len() + QUOTES + 1) + usize::from(comma);
        // Exact, unless something has to be escaped.
        let length = head.len() + member + value.len() + QUOTES + tail.len();
        let mut edited = Vec::with_capacity(length);
        edited.extend_from_slice(head);
        if let Some(name) = name {
            quote_into(&mut edited, name);
            edited.push(b':');
        }
        quote_into(&mut edited, value);
        if comma {
            edited.push(b',');
        }
        edited.extend_from_slice(tail);
        edited
    }
}

fn quote_into(json: &mut Vec<u8>, text: &str) {
    // A JWT, and most names.
    if plain(text.as_bytes()) == text.len() {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        json.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

const QUOTES: usize = 2;

#[cfg(test)]
#[path = "../../tests/fuzz/splice.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn splice(body: &[u8], pointer: &Pointer, value: &str) -> Result<Vec<u8>, SpliceError> {
        Edit::find(body, pointer).map(|edit| edit.put(body, pointer, value))
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
            (r#"{"d":{},"x":1}"#, "/d/s", r#"{"d":{"s":"S"},"x":1}"#),
            (r#"{"d":[{}],"x":{"y":1}}"#, "/d/0/s", r#"{"d":[{"s":"S"}],"x":{"y":1}}"#),
            (r#"{"d":{"e":{}, "f":{"g":1}}}"#, "/d/e/s", r#"{"d":{"e":{"s":"S"}, "f":{"g":1}}}"#),
            (r#"{"\ud800":1}"#, "/s", r#"{"s":"S","\ud800":1}"#),
            ("7", "", "\"S\""),
            (r#"{"":{"a/b":0}}"#, "//a~1b", r#"{"":{"a/b":"S"}}"#),
        ] {
            assert_eq!(edit(body, pointer).as_deref(), Ok(expected), "{body} {pointer}");
        }
    }

    #[test]
    fn what_parsers_skip_stays_in_front() {
        for (body, expected) in [
            ("\u{feff}{}", "\u{feff}{\"s\":\"S\"}"),
            (")]}',\n{\"a\":1}", ")]}',\n{\"s\":\"S\",\"a\":1}"),
            (")]}'\r\n {}", ")]}'\r\n {\"s\":\"S\"}"),
            ("\u{feff})]}',\n{}", "\u{feff})]}',\n{\"s\":\"S\"}"),
            ("while(1);{}", "while(1);{\"s\":\"S\"}"),
            ("for (;;);{}", "for (;;);{\"s\":\"S\"}"),
            ("{}&&{}", "{}&&{\"s\":\"S\"}"),
        ] {
            assert_eq!(edit(body, "/s").as_deref(), Ok(expected), "{body}");
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
            b"{\xEF\xBB\xBF}",
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
            Value::Array(items) => crate::inject::walk::index(first)
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

        /// One place after the other, where none lies within another.
        #[test]
        fn several_places_are_as_several_values(
            mut document in any_json(),
            places in prop::collection::vec(prop::collection::vec(any_name(), 1..4), 1..4),
        ) {
            let mut body = document.to_string().into_bytes();
            let pointers: Vec<_> = places.into_iter().map(Pointer).collect();
            for (index, pointer) in pointers.iter().enumerate() {
                let before = pointers.iter().take(index);
                if before.clone().any(|other| other.covers(pointer) || pointer.covers(other)) {
                    continue;
                }
                let edited = splice(&body, pointer, "S");
                prop_assert_eq!(edited.is_ok(), set(&mut document, &pointer.0, "S"));
                body = edited.unwrap_or(body);
            }
            prop_assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), document);
        }

        #[test]
        fn bytes_outside_the_edit_are_the_apps(
            document in any_json(),
            tokens in prop::collection::vec(any_name(), 0..3),
        ) {
            let body = serde_json::to_vec_pretty(&document).unwrap();
            let pointer = Pointer(tokens);
            let Ok(edit) = Edit::find(&body, &pointer) else { return Ok(()) };
            let range = match edit.0 {
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
            let _ = splice(&body, &Pointer(tokens), "S");
        }
    }
}
