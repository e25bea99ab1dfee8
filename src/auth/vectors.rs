//! Wycheproof's verdicts on signatures and key sets, and the examples of the RFCs.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::compact::Compact;
use super::jwt;
use super::keys::{Demands, KeySet, Verdict};
use crate::auth::Algorithm;

/// Where Wycheproof and Transom differ, and why.
const SIGNATURE_DIFFERENCES: &[(&[u64], &str)] = &[
    (&[346, 350], "the key is bound to PS256 and the token says PS384"),
    (&[347, 351], "their key calls itself ES521, which is no algorithm; see `p521`"),
    (&[367, 370], "they are meant to show padding, but are the same bytes as the valid case 357"),
    (&[372, 373], "they hold characters that are not base64url, which some decoders skip"),
];

const KEY_DIFFERENCES: &[(&[u64], &str)] =
    &[(&[7], "a modulus is not searched for the traces of a flawed generator (ROCA)")];

const CRYPTO_DIFFERENCES: &[(&[u64], &str)] = &[
    (&[46], "a modulus is not searched for the traces of a flawed generator (ROCA)"),
    (&[50, 67], "encrypted tokens are not supported"),
];

#[test]
fn signatures() {
    check("json_web_signature_test.json", 401, SIGNATURE_DIFFERENCES);
}

#[test]
fn key_sets() {
    check("json_web_key_test.json", 26, KEY_DIFFERENCES);
}

#[test]
fn crypto() {
    check("json_web_crypto_test.json", 83, CRYPTO_DIFFERENCES);
}

#[test]
fn examples_of_the_rfcs() {
    for (what, key, token) in EXAMPLES {
        let key = serde_json::from_str(key).unwrap();
        assert!(accepts(&key, token), "{what}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        let other = if payload.starts_with('e') { "f" } else { "e" };
        for changed in [
            format!("{header}.{other}{}.{signature}", &payload[1..]),
            format!("{signed}."),
            format!("{UNSECURED}.{payload}."),
            format!("{UNSECURED}.{payload}.{signature}"),
        ] {
            assert!(!accepts(&key, &changed), "{what}: {changed}");
        }
    }
}

/// The cases whose key misspells its algorithm, with that put right.
#[test]
fn p521() {
    let Some(vectors) = read("json_web_signature_test.json") else { return };
    let groups = vectors["testGroups"].as_array().unwrap();
    let misspelt: Vec<_> = groups.iter().filter(|g| g["public"]["alg"] == "ES521").collect();
    assert_eq!(misspelt.len(), 2);
    for group in misspelt {
        let mut key = group["public"].clone();
        key["alg"] = json!("ES512");
        let token = group["tests"][0]["jws"].as_str().unwrap();
        assert!(accepts(&key, token));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut other = signature.to_owned();
        other.replace_range(9..10, if signature[9..].starts_with('A') { "B" } else { "A" });
        assert!(!accepts(&key, &format!("{signed}.{other}")));
        for odd in [json!({"crv": "P-384"}), json!({"alg": "ES384"}), json!({"use": "enc"})] {
            let mut key = key.clone();
            key.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
            assert!(!accepts(&key, token), "{odd}");
        }
    }
}

fn check(file: &str, cases: usize, differences: &[(&[u64], &str)]) {
    let Some(vectors) = read(file) else { return };
    let mut seen = 0;
    let mut wrong = Vec::new();
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = group.get("public").or_else(|| group.get("private")).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let id = case["tcId"].as_u64().unwrap();
            let token = case.get("jws").unwrap_or(&case["jwe"]);
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
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

fn read(file: &str) -> Option<Value> {
    let path = format!("{}/../shared/vectors/jose/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: {path} is missing");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
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

/// RFC 7519, section 6.1.
const UNSECURED: &str = "eyJhbGciOiJub25lIn0";

const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "RFC 7515, appendix A.1, and RFC 7519, section 3.1",
        r#"{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        "RFC 7515, appendix A.2",
        r#"{"kty":"RSA","alg":"RS256","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "RFC 7515, appendix A.3",
        r#"{"kty":"EC","alg":"ES256","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        "RFC 8037, appendix A.4",
        r#"{"kty":"OKP","alg":"EdDSA","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];
