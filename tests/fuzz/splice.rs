//! JSON replies into which a session is put.

use rand::seq::IndexedRandom as _;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::walk::Place;
use super::{Edit, Pointer, SpliceError};
use crate::fuzz::feed;

#[test]
fn a_splice_sets_one_value_and_leaves_every_other_byte() {
    feed(SEEDS, |body, random| {
        let pointer = Pointer::parse(POINTERS.choose(random).unwrap()).unwrap();
        let edit = match Edit::find(body, &pointer) {
            Ok(edit) => edit,
            Err(error) => {
                assert_eq!(error == SpliceError::NotJson, !is_json(body));
                return Err(error == SpliceError::NotJson);
            }
        };
        assert!(is_json(body));
        let edited = edit.put(body, &pointer, "S");
        let (kept, is_new) = match &edit.0 {
            Place::Value(range) => (range.clone(), false),
            Place::NewMember { at, .. } => (*at..*at, true),
        };
        assert!(edited.starts_with(&body[..kept.start]) && edited.ends_with(&body[kept.end..]));
        assert!(is_json(&edited));
        // Not every JSON text is a value to serde: numbers, surrogates and depth have limits there.
        if let Ok(value) = serde_json::from_slice::<Value>(without_mark(&edited)) {
            let path = pointer.0.iter().map(|token| token.replace('~', "~0").replace('/', "~1"));
            let path = path.fold(String::new(), |path, token| path + "/" + &token);
            assert_eq!(value.pointer(&path), Some(&Value::from("S")));
        }
        Ok((is_new, pointer.0.len()))
    });
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(without_mark(body))
        .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

const POINTERS: &[&str] = &["", "/s", "/data/s", "/data/1/s", "/a~1b", "/data/0", "/\u{e9}"];
const SEEDS: &[&[u8]] = &[
    br#"{"data":{"id":7,"s":null},"more":[1.50,-0e+7,"\u00e9\ud83d\ude00"]}"#,
    br#" { "data" : [ {"s":{}} , {"s":[[[]]] , "s":true} ], "a\/b": "", "\u00e9":0 } "#,
    "\u{feff}{\"é\":\"é\",\"data\":[\"\",{}]}".as_bytes(),
    b"{}",
    b"[]",
    b"\"text\"",
    b"{\"data\":[[[[[[[[1]]]]]]]],\"s\":1e999}",
];
