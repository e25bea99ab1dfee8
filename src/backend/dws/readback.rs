//! What a session JWT really grants, read back from its payload.
//!
//! The signature isn't checked: the JWT comes straight from DWS over TLS, and DWS publishes no key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::BackendErrorKind;
use crate::auth::json;
use crate::config::Permissions;

/// The part of a session that matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) expires: u64,
    pub(super) permissions: Permissions,
    pub(super) server_url: Option<String>,
}

/// What a session may grant at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) document_id: &'a str,
    pub(super) permissions: Permissions,
    pub(super) expires: u64,
}

/// Why a session can't be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Readers could understand it in different ways.
    Unreadable(&'static str),
    TooWide(&'static str),
}

impl Refused {
    pub(super) fn into_parts(self) -> (BackendErrorKind, &'static str) {
        match self {
            Self::Unreadable(why) => (BackendErrorKind::Unreadable, why),
            Self::TooWide(why) => (BackendErrorKind::TooWide, why),
        }
    }
}

/// Reads what `jwt` grants; `Err` tells why it can't be handed out. A narrower grant than asked is
/// fine. A claim that is missing counts as the widest it could mean.
pub(super) fn read_back(jwt: &str, asked: Asked<'_>) -> Result<Granted, Refused> {
    let claims = claims(jwt).map_err(Refused::Unreadable)?;
    let server_url = match claims.get("server_url") {
        None | Some(Value::Null) => None,
        Some(url) => {
            let url = url.as_str().and_then(http_url);
            Some(url.ok_or(Refused::Unreadable("the session's `server_url` is no http address"))?)
        }
    };
    let (expires, permissions) = granted(&claims, asked).map_err(Refused::TooWide)?;
    Ok(Granted { expires, permissions, server_url })
}

fn granted(claims: &Value, asked: Asked<'_>) -> Result<(u64, Permissions), &'static str> {
    let document = the_document(claims)?;
    if document.get("document_id").and_then(Value::as_str) != Some(asked.document_id)
        || claims.get("document_id").is_some_and(|id| id.as_str() != Some(asked.document_id))
    {
        return Err("the session is for another document than asked");
    }
    let permissions = permissions(document, asked.permissions)?;
    let expires = claims
        .get("exp")
        .and_then(Value::as_u64)
        .ok_or("the session does not say when it ends (no `exp`)")?;
    if expires > asked.expires {
        return Err("the session lasts longer than asked");
    }
    Ok((expires, permissions))
}

/// The claims of a JWS in compact form (RFC 7515, 7.1): three parts in unpadded base64url, so that
/// it can stand in any header, cookie or URL, and two JSON objects without a member twice.
fn claims(jwt: &str) -> Result<Value, &'static str> {
    if jwt.len() > MAX_JWT {
        return Err("the session is longer than 16 KiB");
    }
    let not_jwt = "the session is not a JWT";
    let mut parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
    let (Some(Ok(header)), Some(Ok(payload)), Some(Ok(signature)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(not_jwt);
    };
    if signature.is_empty() {
        return Err("the session is not signed");
    }
    json::object(&header).map_err(|_| not_jwt)?;
    let claims = json::object(&payload);
    claims.map(Value::Object).map_err(|_| "the session's claims can't be read with certainty")
}

fn the_document(claims: &Value) -> Result<&Value, &'static str> {
    match claims.get("allowed_documents").and_then(Value::as_array).map(Vec::as_slice) {
        Some([document]) => Ok(document),
        Some(_) => Err("the session does not name exactly one document"),
        None => Err("the session does not name its documents (no `allowed_documents`)"),
    }
}

fn permissions(document: &Value, asked: Permissions) -> Result<Permissions, &'static str> {
    let names = document
        .get("permissions")
        .and_then(Value::as_array)
        .ok_or("the session does not name its permissions (no `permissions`)")?;
    // The other spelling must not grant what the first one doesn't.
    let others = match document.get("document_permissions") {
        None => &[],
        Some(Value::Array(names)) => names.as_slice(),
        Some(_) => return Err(WIDER),
    };
    let allowed = asked.names();
    let mut granted = Permissions::default();
    for name in names.iter().chain(others) {
        let name = name.as_str().filter(|name| allowed.contains(name)).ok_or(WIDER)?;
        granted.read |= name == "read";
        granted.write |= name == "write";
        granted.download |= name == "download";
    }
    Ok(granted)
}

fn http_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.into())
}

const WIDER: &str = "the session grants more than was asked";

const MAX_JWT: usize = 16 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const READ: Permissions = Permissions { read: true, write: false, download: false };
    const ASKED: Asked<'_> = Asked {
        document_id: "D1",
        permissions: Permissions { read: true, write: false, download: true },
        expires: 1_000,
    };

    #[test]
    fn what_was_asked_is_taken() {
        let granted = read(&claims()).unwrap();
        assert_eq!(granted.expires, 1_000);
        assert_eq!(granted.permissions, ASKED.permissions);
        assert_eq!(granted.server_url.as_deref(), Some("https://eu.example/tenant/"));
    }

    #[test]
    fn narrower_is_taken_as_it_is() {
        let mut claims = claims();
        claims["exp"] = json!(900);
        claims["allowed_documents"][0]["permissions"] = json!(["read"]);
        let granted = read(&claims).unwrap();
        assert_eq!((granted.expires, granted.permissions), (900, READ));
    }

    #[test]
    fn anything_wider_is_refused() {
        let wider: [fn(&mut Value); 14] = [
            |claims| claims["exp"] = json!(1_001),
            |claims| claims["exp"] = json!("1000"),
            |claims| claims["exp"] = json!(-1),
            |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
            |claims| drop(claims.as_object_mut().unwrap().remove("allowed_documents")),
            |claims| claims["allowed_documents"] = json!([]),
            |claims| {
                let first = claims["allowed_documents"][0].clone();
                claims["allowed_documents"].as_array_mut().unwrap().push(first);
            },
            |claims| claims["allowed_documents"][0]["document_id"] = json!("D2"),
            |claims| claims["document_id"] = json!("D2"),
            |claims| claims["allowed_documents"][0]["permissions"] = json!(["read", "write"]),
            |claims| claims["allowed_documents"][0]["permissions"] = json!(["read", "print"]),
            |claims| claims["allowed_documents"][0]["permissions"] = json!("read"),
            |claims| claims["allowed_documents"][0]["document_permissions"] = json!(["write"]),
            |claims| {
                let document = claims["allowed_documents"][0].as_object_mut().unwrap();
                document.remove("permissions");
            },
        ];
        for (index, widen) in wider.into_iter().enumerate() {
            let mut claims = claims();
            widen(&mut claims);
            assert!(read(&claims).is_err(), "case {index}: {claims}");
        }
    }

    #[test]
    fn an_address_other_than_http_is_unreadable() {
        for address in
            [json!("javascript:alert(1)"), json!("/relative/"), json!("data:,x"), json!(7)]
        {
            let mut claims = claims();
            claims["server_url"] = address.clone();
            assert!(matches!(read(&claims), Err(Refused::Unreadable(_))), "{address}");
        }
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove("server_url");
        assert_eq!(read(&claims).unwrap().server_url, None);
    }

    #[test]
    fn what_is_no_clean_jwt_is_unreadable() {
        let claims = URL_SAFE_NO_PAD.encode(claims().to_string());
        assert!(read_back(&format!("e30.{claims}.sig_"), ASKED).is_ok());
        let padded = base64::engine::general_purpose::URL_SAFE.encode(r#"{"a":1}"#);
        for jwt in [
            "",
            "..",
            "a.b",
            "e30.e30",
            "e30.e30.c2ln.c2ln",
            &format!("e30.{claims}."),
            &format!(".{claims}.sig_"),
            &format!("e30.{claims}.sig="),
            &format!("e30.{claims}.si+/"),
            &format!("e30.{claims}.sig_\r\n"),
            &format!(" e30.{claims}.sig_"),
            &format!("e30.{claims}.sig_\r\nX-Evil: 1"),
            &format!("{padded}.{claims}.sig_"),
            &format!("W10.{claims}.sig_"),
            "e30.W10.sig_",
            "e30.bnVsbA.sig_",
            &format!("e30.{claims}.{}", "A".repeat(MAX_JWT)),
        ] {
            assert!(matches!(read_back(jwt, ASKED), Err(Refused::Unreadable(_))), "{jwt}");
        }
    }

    #[test]
    fn what_says_something_twice_is_unreadable() {
        let narrow =
            r#""exp":1000,"allowed_documents":[{"document_id":"D1","permissions":["read"]}]"#;
        for text in [
            format!(r#"{{{narrow},"exp":2000}}"#),
            format!(r#"{{{narrow},"\u0065xp":1000}}"#),
            format!(r#"{{{narrow},"allowed_documents":[]}}"#),
            r#"{"exp":1000,"allowed_documents":[{"document_id":"D1","permissions":["write"],"permissions":["read"]}]}"#.to_owned(),
            r#"{"exp":1000,"allowed_documents":[{"document_id":"D2","document_id":"D1","permissions":["read"]}]}"#.to_owned(),
        ] {
            let jwt = |header: &str, text: &str| {
                format!("{}.{}.sig_", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(text))
            };
            assert!(matches!(read_back(&jwt("{}", &text), ASKED), Err(Refused::Unreadable(_))), "{text}");
            let clean = format!("{{{narrow}}}");
            assert!(read_back(&jwt("{}", &clean), ASKED).is_ok());
            let twice = r#"{"alg":"RS256","alg":"none"}"#;
            assert!(matches!(read_back(&jwt(twice, &clean), ASKED), Err(Refused::Unreadable(_))));
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(jwt in ".{0,200}", payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_back(&jwt, ASKED);
            let noise = format!("a.{}.c", URL_SAFE_NO_PAD.encode(payload));
            prop_assert!(read_back(&noise, ASKED).is_err());
        }

        #[test]
        fn what_is_taken_is_never_wider(
            document in "D[12]", exp in 990_u64..1_010,
            names in prop::collection::vec("read|write|download|print", 0..4),
        ) {
            let claims = json!({
                "exp": exp,
                "allowed_documents": [{ "document_id": document, "permissions": names }],
            });
            match read(&claims) {
                Ok(granted) => {
                    prop_assert_eq!(document, "D1");
                    prop_assert!(granted.expires <= ASKED.expires);
                    prop_assert_eq!(granted.permissions.union(ASKED.permissions), ASKED.permissions);
                    prop_assert!(!names.iter().any(|name| name == "write" || name == "print"));
                }
                Err(_) => prop_assert!(
                    document != "D1" || exp > 1_000
                        || names.iter().any(|name| name == "write" || name == "print")
                ),
            }
        }
    }

    fn read(claims: &Value) -> Result<Granted, Refused> {
        read_back(&format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string())), ASKED)
    }

    fn claims() -> Value {
        json!({
            "exp": 1_000,
            "server_url": "https://eu.example/tenant/",
            "allowed_documents": [{ "document_id": "D1", "permissions": ["read", "download"] }],
        })
    }
}
