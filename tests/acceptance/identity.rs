//! Tokens of the app: found, verified, and refused for a reason that can be told.

use http::Method;
use serde_json::json;

use crate::support::app::{App, reply};
use crate::support::{CONFIG, Form, World, files, tokens};

async fn code(request: reqwest::RequestBuilder) -> (u16, String) {
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    let json: serde_json::Value = reply.json().await.unwrap();
    (status, json["code"].as_str().unwrap_or("session").to_owned())
}

/// An app that had ann's document 7 before, and takes tokens from a query parameter or a header of its own.
fn by_its_own_places() -> App {
    App::answering(|_, seen| {
        let query = seen
            .uri
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("access_token=")));
        let header = seen.headers.get("x-token").and_then(|value| value.to_str().ok());
        match query.or(header).map(|token| tokens::payload(token)["sub"].clone()) {
            None => reply(401, &[], ""),
            Some(user) if user != "ann" => reply(403, &[], ""),
            Some(_) if seen.uri.path().ends_with("/content") => {
                reply(200, &[("content-type", "application/pdf")], files::pdf("old"))
            }
            Some(_) => reply(200, &[("content-type", "application/json")], "{}"),
        }
    })
}

in_both_forms! {
    async fn every_doubt_about_a_token_has_its_code(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/.transom/session/files/{id}");
        let minted = world.dws.sessions_minted().await;
        let now = tokens::now();
        let asymmetric_header = {
            let token = tokens::for_user("ann");
            let (_, rest) = token.split_once('.').unwrap();
            format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{rest}")
        };
        let cases = [
            (tokens::unsigned("ann"), 401, "token_invalid"),
            (tokens::signed_with(&tokens::claims("ann"), "another secret of thirty-two bytes"), 401, "token_invalid"),
            (asymmetric_header, 401, "token_invalid"),
            ("not.a.token".into(), 401, "token_invalid"),
            ("x".repeat(5_000), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "exp": now - 3600 })), 401, "token_expired"),
            (tokens::with("ann", &json!({ "exp": null })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "nbf": now + 3600 })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "iss": "another-app" })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "iss": null })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "aud": ["x", "y"] })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "sub": null })), 401, "token_invalid"),
            (tokens::with("ann", &json!({ "sub": { "id": 1 } })), 401, "token_invalid"),
        ];
        for (token, status, expected) in cases {
            let request = world.request(Method::GET, &path).bearer_auth(&token);
            assert_eq!(code(request).await, (status, expected.to_owned()), "{token}");
        }
        assert_eq!(code(world.request(Method::GET, &path)).await, (401, "token_missing".into()));
        let accepted = tokens::with("ann", &json!({ "aud": ["x", "my-app"] }));
        assert_eq!(code(world.request(Method::GET, &path).bearer_auth(accepted)).await.0, 200);
        let by_cookie = format!("theme=dark; access_token={}", tokens::for_user("ann"));
        assert_eq!(code(world.request(Method::GET, &path).header("cookie", by_cookie)).await.0, 200);
        let conflict = world.request_as("ann", Method::GET, &path)
            .header("cookie", format!("access_token={}", tokens::for_user("bob")));
        assert_eq!(code(conflict).await, (401, "token_invalid".into()));
        assert_eq!(world.dws.sessions_minted().await, minted, "no mint for any of them");
    }

    async fn a_view_of_the_app_is_never_blocked_by_a_token(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        // The app still takes what we don't: its own verifier checks no audience.
        let token = tokens::with("ann", &json!({ "aud": "someone-else" }));
        let request = world.request(Method::GET, &format!("/api/files/{id}")).bearer_auth(token);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(!reply.headers().contains_key("x-viewer-session"));
        assert_eq!(reply.headers()["etag"], "\"v1\"");
        assert!(!reply.text().await.unwrap().contains("viewer_session"));
    }

    async fn the_app_is_asked_with_the_token_where_the_caller_had_it(form: Form) {
        let places = "tokens = [{ query = \"access_token\" }, { header = \"X-Token\" }]";
        let config = CONFIG.replace("tokens = [{ bearer = true }, { cookie = \"access_token\" }]", places);
        let world = World::with(&config).app(by_its_own_places()).app_settings("remember_decisions = \"1m\"").start(form).await;
        let (ann, bob) = (tokens::for_user("ann"), tokens::for_user("bob"));
        let own = "/.transom/session/files/7";
        let by_query = |token: &str| world.request(Method::GET, &format!("{own}?x=1&access_token={token}"));
        assert_eq!(code(by_query(&ann)).await, (200, "session".into()), "fetched from the source, too");
        let asked = world.app.last(&Method::GET, "/api/files/7");
        assert_eq!(asked.uri.query(), Some(&*format!("access_token={ann}")), "and nothing else");
        assert_eq!(code(by_query(&bob)).await, (403, "denied_by_app".into()));
        assert_eq!(code(world.request(Method::GET, own)).await, (401, "token_missing".into()));

        let by_header = |token: &str| world.request(Method::GET, own).header("x-token", token);
        assert_eq!(code(by_header(&ann)).await.0, 200);
        assert_eq!(world.app.last(&Method::GET, "/api/files/7").uri.query(), None);
        assert_eq!(code(by_header(&bob)).await, (403, "denied_by_app".into()));

        // The app's yes is remembered for this token, and for no other.
        let asked = world.app.seen().len();
        assert_eq!(code(by_query(&ann)).await.0, 200);
        assert_eq!(world.app.seen().len(), asked);
        for secret in [&ann, &bob] {
            assert!(!world.log().contains(secret.rsplit('.').next().unwrap()), "a token in the log");
        }
    }

    async fn tokens_that_only_the_app_understands_are_each_authorised_by_it(form: Form) {
        let places = "tokens = [{ query = \"access_token\" }, { header = \"X-Token\" }]";
        let config = CONFIG.replace("tokens = [{ bearer = true }, { cookie = \"access_token\" }]", places);
        let config = config.replacen("session = [", "authorize = [\"app\"]\nsession = [", 1);
        let world = World::with(&config).app(by_its_own_places()).start(form).await;
        let unknown = |secret: &str| tokens::signed_with(&tokens::claims("ann"), secret);
        let (one, two) = (unknown("one secret of more than thirty-two bytes"), unknown("two secrets of more than thirty-two bytes"));
        let own = "/.transom/session/files/7";
        let mut sessions = std::collections::BTreeSet::new();
        for token in [&one, &two] {
            for request in [
                world.request(Method::GET, own).header("x-token", token),
                world.request(Method::GET, &format!("{own}?access_token={token}")),
            ] {
                let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
                sessions.insert(answer["session"].as_str().expect("a session").to_owned());
            }
        }
        assert_eq!(sessions.len(), 1, "nobody knows their users, nor does DWS learn of any");
        let bob = tokens::signed_with(&tokens::claims("bob"), "one secret of more than thirty-two bytes");
        assert_eq!(code(world.request(Method::GET, own).header("x-token", bob)).await, (403, "denied_by_app".into()));
    }

    async fn numbers_and_nested_claims_name_users(form: Form) {
        let config = CONFIG.replace("issuer = \"my-app\"", "user = \"/who/number\"\nissuer = \"my-app\"");
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let token = tokens::with("ann", &json!({ "who": { "number": 4711 } }));
        world.dws.has_documents(1).await;
        let path = format!("/.transom/session/files/{id}");
        for _ in 0..100 {
            let reply = world.request(Method::GET, &path).bearer_auth(&token).send().await.unwrap();
            if reply.status() == 200 {
                let json: serde_json::Value = reply.json().await.unwrap();
                let claims = tokens::payload(json["session"].as_str().unwrap());
                assert_eq!(claims["user_id"], "4711");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("no session");
    }
}
