//! The app's own tokens.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub const SECRET: &str = "a secret of thirty-two bytes or so";

/// A good token for an hour.
pub fn for_user(user: &str) -> String {
    signed(&claims(user))
}

/// The same for one user in all of a run: a token of another second would be another caller's.
pub fn claims(user: &str) -> Value {
    static START: LazyLock<u64> = LazyLock::new(now);
    let start = *START;
    json!({ "sub": user, "iss": "my-app", "aud": "my-app", "role": "member", "iat": start, "exp": start + 3600 })
}

/// The usual claims with some of them changed; `null` takes one away.
pub fn with(user: &str, changes: &Value) -> String {
    let mut claims = claims(user);
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(key),
            _ => claims.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    signed(&claims)
}

pub fn signed(claims: &Value) -> String {
    signed_with(claims, SECRET)
}

pub fn signed_with(claims: &Value, secret: &str) -> String {
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// `alg: none`.
pub fn unsigned(user: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(json!({ "alg": "none", "typ": "JWT" })), part(claims(user)))
}

/// The claims of a JWT, unverified.
pub fn payload(jwt: &str) -> Value {
    let part = jwt.split('.').nth(1).expect("three segments");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
