//! Requests and what becomes of them.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http::request::Parts;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{self, Pair};
use super::*;
use crate::auth::{Algorithm, KeySource, TokenPlace};

const NOW: u64 = 1_000_000;

#[tokio::test]
async fn one_token_per_algorithm() {
    use Algorithm::*;
    for algorithm in
        [HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA]
    {
        let app = start(&[testing::identity("app", algorithm)]);
        let caller = ask(&app, &bearer(&testing::token(algorithm, &claims()))).await.unwrap();
        assert_eq!((&*caller.identity, &*caller.user, caller.expires), ("app", "ann", NOW + 10));
        assert_eq!(caller.claims, claims());

        let other = if algorithm == HS256 { HS384 } else { HS256 };
        let token = testing::token(other, &claims());
        assert_eq!(ask(&app, &bearer(&token)).await.err(), Some(Reason::TokenInvalid));
    }
}

#[tokio::test]
async fn without_identities_there_is_nobody() {
    let token = testing::token(Algorithm::HS256, &claims());
    assert_eq!(ask(&start(&[]), &bearer(&token)).await.err(), Some(Reason::TokenMissing));
}

#[tokio::test]
async fn nothing_opaque_or_forged_is_believed() {
    let app = start(&[testing::identity("app", Algorithm::HS256)]);
    assert_eq!(ask(&app, &request(&[], "/")).await.err(), Some(Reason::TokenMissing));
    let good = testing::token(Algorithm::HS256, &claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let none = Pair::secret(b"x").sign(Algorithm::HS256, &json!({"alg": "none"}), &claims());
    let (unsigned, _) = none.rsplit_once('.').unwrap();
    for token in [
        "opaque-session-id".to_owned(),
        format!("{signed}."),
        format!("{good}x"),
        format!("{unsigned}."),
        none.clone(),
        Pair::secret(b"other").sign(Algorithm::HS256, &json!({"alg": "HS256"}), &claims()),
        text_token(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &claims().to_string()),
        text_token(r#"{"alg":"HS256"}"#, r#"{"sub":"ann","sub":"bob","exp":9999999}"#),
        text_token(r#"{"alg":"HS256"}"#, "[]"),
        text_token(r#"{"alg":"HS256"}"#, "garbage"),
        text_token(
            r#"{"alg":"HS256"}"#,
            &json!({"sub": "ann", "exp": NOW + 9, "x": "y".repeat(16_000)}).to_string(),
        ),
    ] {
        let refusal = app.authenticate_at(NOW, &bearer(&token), &[]).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::TokenInvalid, "{token}");
        assert!(refusal.detail.starts_with("identity `app`: "), "{}", refusal.detail);
        assert!(!refusal.detail.contains(&token), "{}", refusal.detail);
    }
}

#[tokio::test]
async fn a_public_key_is_not_taken_for_a_secret() {
    let public = testing::pair(Algorithm::RS256);
    let app = start(&[testing::identity("app", Algorithm::RS256)]);
    for secret in [public.pem().as_bytes(), public.spki()] {
        let pair = Pair::secret(secret);
        for alg in ["HS256", "RS256"] {
            let token = pair.sign(Algorithm::HS256, &json!({"alg": alg}), &claims());
            assert_eq!(ask(&app, &bearer(&token)).await.err(), Some(Reason::TokenInvalid));
        }
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_is_ignored() {
    let own = Pair::ec(Algorithm::ES256);
    let header = json!({"alg": "ES256", "jwk": own.jwk(&json!({})), "jku": "http://127.0.0.1:1/"});
    let token = own.sign(Algorithm::ES256, &header, &claims());
    let app = start(&[testing::identity("app", Algorithm::ES256)]);
    assert_eq!(ask(&app, &bearer(&token)).await.err(), Some(Reason::TokenInvalid));
}

#[tokio::test]
async fn time_passes_for_remembered_tokens_too() {
    let identity =
        Identity { leeway: Duration::from_secs(5), ..testing::identity("app", Algorithm::HS256) };
    let app = start(&[identity]);
    let request = bearer(&testing::token(Algorithm::HS256, &claims()));
    for _ in 0..2 {
        assert!(app.authenticate_at(NOW + 14, &request, &[]).await.is_ok());
        let refusal = app.authenticate_at(NOW + 15, &request, &[]).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::TokenExpired);
    }
}

#[tokio::test]
async fn a_withdrawn_key_counts_no_more_for_remembered_tokens_either() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let set = |pair: &Pair| json!({"keys": [pair.jwk(&json!({"kid": "a"}))]}).to_string();
    let pair = testing::pair(Algorithm::ES256);
    std::fs::write(&path, set(pair)).unwrap();
    let identity = Identity {
        key: KeySource::JwksText(set(pair)),
        key_file: Some(path.clone()),
        ..testing::identity("app", Algorithm::ES256)
    };
    let verifier = Verifier::start_watching(&identity, Duration::from_millis(5)).unwrap();
    let app = Authenticator { verifiers: [verifier].into(), cache: Some(TokenCache::new()) };
    let header = json!({"alg": "ES256", "kid": "a"});
    let request = bearer(&pair.sign(Algorithm::ES256, &header, &claims()));
    assert!(ask(&app, &request).await.is_ok());
    std::fs::write(&path, set(&Pair::ec(Algorithm::ES256))).unwrap();
    // Long before the entry's own end.
    for _ in 0..1000 {
        if ask(&app, &request).await.err() == Some(Reason::TokenInvalid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the old key is still believed");
}

#[tokio::test]
async fn every_place() {
    let tokens = vec![
        TokenPlace::Scheme("JWT".into()),
        TokenPlace::Cookie("session".into()),
        TokenPlace::Header("x-token".parse().unwrap()),
        TokenPlace::Query("token".into()),
    ];
    let app = start(&[Identity { tokens, ..testing::identity("app", Algorithm::HS256) }]);
    let token = testing::token(Algorithm::HS256, &claims());
    for request in [
        request(&[("authorization", format!("jwt {token}"))], "/"),
        request(&[("cookie", format!("a=b; session={token}"))], "/"),
        request(&[("x-token", token.clone())], "/"),
        request(&[], &format!("/?token={token}")),
        request(&[("x-token", token.clone()), ("cookie", format!("session={token}"))], "/"),
    ] {
        assert_eq!(&*ask(&app, &request).await.unwrap().user, "ann");
    }
    let other = testing::token(Algorithm::HS256, &json!({"sub": "bob", "exp": NOW + 10}));
    let both = request(&[("x-token", token), ("cookie", format!("session={other}"))], "/");
    assert_eq!(ask(&app, &both).await.err(), Some(Reason::TokenInvalid));
}

#[tokio::test]
async fn the_issuer_of_the_token_is_asked_first() {
    let any = testing::identity("any", Algorithm::HS256);
    let me = Identity { issuer: Some("me".into()), ..testing::identity("me", Algorithm::HS256) };
    let you = Identity { issuer: Some("you".into()), ..testing::identity("you", Algorithm::HS256) };
    let app = start(&[any, you, me]);
    let from = |iss: &str| {
        let claims = json!({"sub": "ann", "exp": NOW + 10, "iss": iss});
        bearer(&testing::token(Algorithm::HS256, &claims))
    };
    for _ in 0..2 {
        assert_eq!(&*ask(&app, &from("me")).await.unwrap().identity, "me");
        assert_eq!(&*ask(&app, &from("you")).await.unwrap().identity, "you");
        assert_eq!(&*ask(&app, &from("they")).await.unwrap().identity, "any");
    }
    let only = |name: &str| vec![name.to_owned()];
    let caller = app.authenticate_at(NOW, &from("me"), &only("any")).await.unwrap();
    assert_eq!(&*caller.identity, "any");
    let refusal = app.authenticate_at(NOW, &from("me"), &only("you")).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TokenInvalid);
    let refusal = app.authenticate_at(NOW, &from("me"), &only("nobody")).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TokenMissing);
}

#[tokio::test]
async fn of_several_identities_the_first_that_can_vouch_does() {
    let first = testing::identity("first", Algorithm::ES256);
    let second = testing::identity("second", Algorithm::HS256);
    let cookie = Identity {
        tokens: vec![TokenPlace::Cookie("t".into())],
        ..testing::identity("cookie", Algorithm::HS256)
    };
    let app = start(&[first, second, cookie]);
    let token = testing::token(Algorithm::HS256, &claims());
    assert_eq!(&*ask(&app, &bearer(&token)).await.unwrap().identity, "second");
    let in_cookie = request(&[("cookie", format!("t={token}"))], "/");
    assert_eq!(&*ask(&app, &in_cookie).await.unwrap().identity, "cookie");
}

#[tokio::test]
async fn the_most_telling_refusal_is_reported() {
    let unreachable = Identity {
        key: KeySource::JwksUrl("http://127.0.0.1:1/jwks".into()),
        ..testing::identity("unreachable", Algorithm::ES256)
    };
    let app = start(&[
        testing::identity("ec384", Algorithm::ES384),
        testing::identity("hs", Algorithm::HS256),
        unreachable,
    ]);
    let expired = json!({"sub": "ann", "exp": 1});
    let token = testing::token(Algorithm::HS256, &expired);
    assert_eq!(ask(&app, &bearer(&token)).await.err(), Some(Reason::TokenExpired));
    let token = testing::token(Algorithm::ES256, &expired);
    assert_eq!(ask(&app, &bearer(&token)).await.err(), Some(Reason::KeysUnavailable));
}

#[test]
fn what_check_says_names_the_identity() {
    let with = |algorithms: &[Algorithm], key: KeySource| {
        let algorithms = algorithms.to_vec();
        validate(&Identity { algorithms, key, ..testing::identity("app", Algorithm::HS256) })
    };
    let secret = |text: &str| KeySource::Secret(text.as_bytes().to_vec().into());
    let pem = || KeySource::PublicKey(testing::pair(Algorithm::ES256).pem());
    let url = |url: &str| KeySource::JwksUrl(url.into());
    use Algorithm::{ES256, ES384, HS256, RS256};
    for (result, hint) in [
        (with(&[], secret("s")), "empty"),
        (with(&[HS256, RS256], secret("s")), "mixes"),
        (with(&[HS256], secret("")), "empty"),
        (with(&[HS256], secret(&testing::pair(ES256).pem())), "public_key"),
        (with(&[RS256], secret("s")), "RS256"),
        (with(&[HS256], pem()), "HS256"),
        (with(&[ES256, ES384], pem()), "ES384"),
        (with(&[ES256], KeySource::PublicKey("x".into())), "PEM"),
        (with(&[ES256], KeySource::JwksText("x".into())), "JWK set"),
        (with(&[HS256], secret("short")), "5 bytes"),
        (with(&[ES256], url("jwks.json")), "URL"),
        (with(&[ES256], KeySource::Discovery), "issuer"),
    ] {
        let error = result.unwrap_err();
        assert!(error.starts_with("identity `app`: ") && error.contains(hint), "{error}");
    }
    assert_eq!(with(&[HS256], secret("a secret of thirty-two bytes or so")), Ok(()));
    assert_eq!(with(&[ES256], pem()), Ok(()));
    assert_eq!(with(&[ES256], url("https://issuer.example/jwks.json")), Ok(()));
}

#[tokio::test]
async fn nothing_shows_secrets_or_tokens() {
    let secret = KeySource::Secret(b"hunter22".to_vec().into());
    let weak = Identity { allow_weak_keys: true, ..testing::identity("app", Algorithm::HS256) };
    let app = start(&[Identity { key: secret, ..weak }]);
    let token =
        Pair::secret(b"hunter22").sign(Algorithm::HS256, &json!({"alg": "HS256"}), &claims());
    let caller = ask(&app, &bearer(&token)).await.unwrap();
    let shown = format!("{app:?} {caller:?}");
    let secret_bytes = format!("{:?}", b"hunter22");
    assert!(!shown.contains("hunter22") && !shown.contains(&secret_bytes), "{shown}");
    assert!(!shown.contains(token.rsplit('.').next().unwrap()), "{shown}");
}

proptest! {
    #[test]
    fn no_text_passes_for_a_token(text in "\\PC*|[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*") {
        never_authenticates(&text);
    }

    #[test]
    fn no_json_passes_for_a_token(header in JSON, claims in JSON) {
        let good_header = r#"{"alg":"HS256"}"#;
        for header in [header.as_str(), good_header] {
            never_authenticates(&Pair::secret(b"other").sign_text(Algorithm::HS256, header, &claims));
        }
    }

    #[test]
    fn no_change_to_a_token_survives(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let token = testing::token(Algorithm::HS256, &claims());
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        never_authenticates(&changed);
    }
}

const JSON: &str =
    r#"\{("(alg|kid|crit|sub|exp|b64|a)":("(none|HS256|ann)"|[0-9]{1,9}|\[\]|\{\}|null),?){0,5}\}"#;

fn never_authenticates(token: &str) {
    let tokens = vec![TokenPlace::Query("t".into())];
    let app = start(&[Identity { tokens, ..testing::identity("app", Algorithm::HS256) }]);
    let query: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("t", token).finish();
    let Ok(uri) = format!("/?{query}").parse::<http::Uri>() else { return };
    let (request, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refusal = runtime.block_on(app.authenticate_at(0, &request, &[])).unwrap_err();
    assert!(matches!(refusal.reason, Reason::TokenInvalid | Reason::TokenMissing), "{refusal:?}");
}

fn start(identities: &[Identity]) -> Authenticator {
    Authenticator::start(identities, None).unwrap()
}

async fn ask(app: &Authenticator, request: &Parts) -> Result<Arc<Caller>, Reason> {
    app.authenticate_at(NOW, request, &[]).await.map_err(|refusal| refusal.reason)
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": NOW + 10})
}

/// Signed with the key that the identity trusts.
fn text_token(header: &str, claims: &str) -> String {
    testing::pair(Algorithm::HS256).sign_text(Algorithm::HS256, header, claims)
}

fn bearer(token: &str) -> Parts {
    request(&[("authorization", format!("Bearer {token}"))], "/")
}

fn request(headers: &[(&str, String)], uri: &str) -> Parts {
    let mut request = http::Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(()).unwrap().into_parts().0
}
