//! Wycheproof's verdicts on signatures and key sets.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::compact::Compact;
use super::jwt;
use super::keys::{Demands, KeySet, Verdict};
use crate::config::Algorithm;

/// Where Wycheproof and Transom differ, and why.
const SIGNATURE_DIFFERENCES: &[(&[u64], &str)] = &[
    (&[346, 350], "the key is bound to PS256 and the token says PS384"),
    (&[347, 351], "ES512 is not supported"),
    (&[367, 370], "they are meant to show padding, but are the same bytes as the valid case 357"),
    (&[372, 373], "they hold characters that are not base64url, which some decoders skip"),
];

const KEY_DIFFERENCES: &[(&[u64], &str)] =
    &[(&[7], "a modulus is not searched for the traces of a flawed generator (ROCA)")];

#[test]
fn signatures() {
    check("json_web_signature_test.json", 401, SIGNATURE_DIFFERENCES);
}

#[test]
fn key_sets() {
    check("json_web_key_test.json", 26, KEY_DIFFERENCES);
}

fn check(file: &str, cases: usize, differences: &[(&[u64], &str)]) {
    let path = format!("{}/../shared/vectors/jose/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: {path} is missing");
        return;
    };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = group.get("public").or_else(|| group.get("private")).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let id = case["tcId"].as_u64().unwrap();
            let token = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), str::to_owned);
            let differs = differences.iter().any(|(ids, _)| ids.contains(&id));
            let wanted = (case["result"] == "valid") != differs;
            if accepts(keys, &token) != wanted {
                wrong.push((id, case["comment"].clone()));
            }
            seen += 1;
        }
    }
    assert_eq!(wrong, [], "of {seen}");
    assert_eq!(seen, cases);
}

/// The vectors' payloads are no claims, so only the way up to the signature is taken. The algorithm
/// is the key's own, as if it were configured; a key without one may be used with any.
fn accepts(keys: &Value, token: &str) -> bool {
    let set = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let own = set["keys"][0]["alg"].as_str().map(|alg| jwt::named(alg).into_iter().collect());
    let algorithms: Vec<Algorithm> =
        own.unwrap_or_else(|| vec![Algorithm::RS256, Algorithm::ES256]);
    let demands = Demands { algorithms: algorithms.clone(), weak: false };
    let Ok(keys) = KeySet::jwks(set.to_string().as_bytes(), &demands) else { return false };
    let Ok(token) = Compact::parse(token) else { return false };
    let algorithm = algorithms.iter().find(|algorithm| jwt::name(**algorithm) == token.alg);
    algorithm.is_some_and(|algorithm| keys.verify(&token, *algorithm) == Verdict::Good)
}
