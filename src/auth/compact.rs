//! A JWS in compact serialisation (RFC 7515, section 7.1), taken apart but not yet believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;

/// The parts of a token. Of the header only `alg`, `kid` and `typ` are kept: `jku`, `x5u`, `jwk` and `x5c`
/// let a token bring its own key, so nobody may look at them (RFC 8725, section 3.10).
pub(super) struct Compact<'a> {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    /// What the signature covers.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// An error is a sentence without any part of the token.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        if text.len() > MAX_TOKEN {
            return Err(format!("the token is longer than {MAX_TOKEN} bytes"));
        }
        let not_jws = || "the token is not a JWS in compact form".to_owned();
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_jws)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_jws)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| not_jws());

        let header = json::object(&decode(header)?)
            .map_err(|error| format!("the token's header can't be read: {error}"))?;
        if let Some(name) = UNSUPPORTED.iter().find(|name| header.contains_key(**name)) {
            return Err(format!("the token's header has `{name}`, which is not supported"));
        }
        Ok(Self {
            alg: alg(&header)?.to_owned(),
            kid: kid(&header)?.map(str::to_owned),
            typ: header.get("typ").and_then(Value::as_str).map(str::to_owned),
            signed: signed.as_bytes(),
            signature: decode(signature)?,
            payload: decode(payload)?,
        })
    }

    /// The claims, as yet unverified.
    pub(super) fn claims(&self) -> Result<Value, String> {
        json::object(&self.payload)
            .map(Value::Object)
            .map_err(|error| format!("the token's claims can't be read: {error}"))
    }
}

fn alg(header: &Map<String, Value>) -> Result<&str, String> {
    header.get("alg").and_then(Value::as_str).ok_or_else(|| "the token has no `alg`".to_owned())
}

fn kid(header: &Map<String, Value>) -> Result<Option<&str>, String> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Ok(Some(kid)),
        Some(_) => Err(format!("the token's `kid` is not a text of at most {MAX_KID} bytes")),
    }
}

/// Header members that change what the token means; not one of them is understood here, and one
/// that `crit` names must not be ignored (RFC 7515, section 4.1.11).
const UNSUPPORTED: [&str; 4] = ["crit", "b64", "zip", "enc"];
const MAX_TOKEN: usize = 16 * 1024;
const MAX_KID: usize = 256;

#[cfg(test)]
#[path = "../../tests/fuzz/token.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_token_apart() {
        let text =
            token(r#"{"alg":"HS256","kid":"k","jku":"http://evil"}"#, r#"{"sub":"a"}"#, b"s");
        let parts = Compact::parse(&text).unwrap();
        assert_eq!((parts.alg.as_str(), parts.kid.as_deref()), ("HS256", Some("k")));
        assert_eq!(parts.signature, b"s");
        assert_eq!(parts.signed, &text.as_bytes()[..text.len() - 3]);
        assert_eq!(parts.claims().unwrap(), serde_json::json!({"sub": "a"}));
    }

    #[test]
    fn refuses_headers_it_must_not_ignore() {
        for header in [
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","b64":true}"#,
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"HS256","zip":"DEF"}"#,
            r#"{"alg":"dir","enc":"A128GCM"}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"kid":"k"}"#,
            r#"{"alg":"HS256","kid":7}"#,
            r#"["alg"]"#,
        ] {
            assert!(Compact::parse(&token(header, "{}", b"s")).is_err(), "{header}");
        }
        let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(257));
        assert!(Compact::parse(&token(&long, "{}", b"s")).is_err());
    }

    #[test]
    fn refuses_other_forms() {
        let good = token(r#"{"alg":"HS256"}"#, "{}", b"s");
        for text in ["", "a", "a.b", "..", "opaque-value", "a.b.c.d.e", r#"{"payload":"e30"}"#] {
            assert!(Compact::parse(text).is_err(), "{text}");
        }
        for text in
            [format!("{good}="), format!("{good}.{good}"), format!(" {good}"), format!("{good}\n")]
        {
            assert!(Compact::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_more_than_16_kib() {
        let claims = |size| format!(r#"{{"a":"{}"}}"#, "x".repeat(size));
        assert!(Compact::parse(&token(r#"{"alg":"HS256"}"#, &claims(12_000), b"s")).is_ok());
        assert!(Compact::parse(&token(r#"{"alg":"HS256"}"#, &claims(12_300), b"s")).is_err());
    }

    fn token(header: &str, claims: &str, signature: &[u8]) -> String {
        [header.as_bytes(), claims.as_bytes(), signature]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".")
    }
}
