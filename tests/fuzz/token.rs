//! Tokens before they are believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Compact;
use crate::fuzz::feed;

#[test]
fn a_token_that_is_taken_apart_is_the_same_when_put_together_again() {
    let seeds: Vec<String> = HEADERS
        .iter()
        .zip(CLAIMS.iter().cycle())
        .map(|(header, claims)| {
            [*header, *claims, "signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
        })
        .collect();
    let seeds: Vec<&[u8]> =
        seeds.iter().map(String::as_bytes).chain([&b"a.b.c"[..], b".."]).collect();
    feed(&seeds, |bytes, _| holds(bytes));
}

/// Random bytes seldom are base64 of JSON, so here what is inside is changed.
#[test]
fn the_inside_of_a_token_means_what_any_json_reader_finds() {
    let seeds: Vec<&[u8]> = HEADERS.iter().chain(CLAIMS).map(|text| text.as_bytes()).collect();
    feed(&seeds, |bytes, _| {
        let good = r#"{"alg":"HS256"}"#.as_bytes();
        let token = |header: &[u8], claims: &[u8]| {
            [header, claims, b"s"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
        };
        (holds(token(bytes, b"{}").as_bytes()), holds(token(good, bytes).as_bytes()))
    });
}

fn holds(bytes: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(bytes).ok()?;
    let token = Compact::parse(text).ok()?;
    let signed = std::str::from_utf8(token.signed).unwrap();
    assert_eq!(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&token.signature)), text);
    let (header, payload) = signed.split_once('.').unwrap();
    let json = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let header = json(header).unwrap();
    assert_eq!(header["alg"], *token.alg);
    assert_eq!(header.get("kid").and_then(Value::as_str), token.kid.as_deref());
    assert!(["crit", "b64", "zip", "enc"].iter().all(|name| header.get(name).is_none()));
    let claims = token.claims().ok();
    assert!(claims.is_none() || claims == json(payload));
    Some(claims.is_some())
}

const HEADERS: &[&str] = &[
    r#"{"alg":"HS256","typ":"JWT"}"#,
    r#"{"alg":"RS256","kid":"k","jku":"http://evil","x5c":["a"]}"#,
    r#"{"alg":"ES256","crit":["exp"],"zip":"DEF"}"#,
    r#"{"alg":"none","alg":"HS256","b64":false}"#,
];
const CLAIMS: &[&str] = &[
    r#"{"sub":"ann","exp":1700000000,"aud":["a","b"],"role":{"x":[1.5,null,true]}}"#,
    r#"{"sub":"ann","sub":"bob"}"#,
    "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
    "{}",
];
