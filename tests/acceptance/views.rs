//! Sessions in the app's own requests and replies.

use http::Method;
use serde_json::json;

use crate::support::{CONFIG, Form, World, app, tokens};

/// The usual rules with another way of delivery for `GET /api/files/{id}`.
fn delivered_by(session: &str) -> String {
    CONFIG.replace(
        "session = [{ json = \"/data/viewer_session\" }, { response_header = \"X-Viewer-Session\" }]",
        session,
    )
}

in_both_forms! {
    async fn json_and_header_carry_the_session_and_nothing_else_changes(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let session = world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");

        let reply = world.get_as("ann", &path).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["cache-control"], "private, no-store");
        assert_eq!(reply.headers()["etag"], "\"v1\"", "the app knows no other");
        let token = reply.headers()["x-viewer-session"].to_str().unwrap().to_owned();
        let length = reply.headers()["content-length"].to_str().unwrap().to_owned();
        let text = reply.text().await.unwrap();
        assert_eq!(length, text.len().to_string());
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["data"]["viewer_session"], token.as_str());
        assert!(text.contains("\"price\": 1.10"), "numbers stay as the app wrote them: {text}");
        let claims = tokens::payload(&token);
        assert_eq!(claims["allowed_documents"][0]["document_id"], session["document_id"]);

        for (user, status) in [("bob", 403)] {
            let reply = world.get_as(user, &path).await;
            assert_eq!(reply.status(), status);
            assert!(!reply.headers().contains_key("x-viewer-session"));
            assert_eq!(reply.text().await.unwrap(), "not yours");
        }
    }

    async fn a_request_header_reaches_the_app_and_only_from_us(form: Form) {
        let world = World::with(&delivered_by("session = { request_header = \"X-Viewer-Session\" }")).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        world.get_as("ann", &path).await;
        let seen = world.app.last(&Method::GET, &path);
        let token = seen.headers["x-viewer-session"].to_str().unwrap().to_owned();
        assert_eq!(tokens::payload(&token)["user_id"], "ann");
        if form == Form::Layer {
            assert_eq!(seen.viewer_session.as_deref(), Some(token.as_str()));
        }
        for (name, path) in [
            ("x-viewer-session", "/anything"),
            ("X_Viewer_Session", "/anything"),
            ("x.viewer.session", "/api/files"),
            ("X-VIEWER_SESSION", &path),
        ] {
            let request = world.request_as("bob", Method::GET, path).header(name, "forged");
            request.header("connection", "x-viewer-session").send().await.unwrap();
            let seen = world.app.last(&Method::GET, path);
            assert!(!seen.headers.values().any(|value| value == "forged"), "{name} to {path}");
        }
    }

    async fn a_cookie_lives_as_long_as_the_session(form: Form) {
        let world = World::with(&delivered_by("session = { cookie = \"viewer\" }\nttl = \"5m\"")).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("viewer=ey"), "{cookie}");
        let age = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
        let age: u64 = age.parse().unwrap();
        assert!((1..=300).contains(&age), "{cookie}");
    }

    async fn replies_that_can_not_take_a_session_pass_as_they_are(form: Form) {
        let world = World::with(&delivered_by("session = { json = \"/data/viewer_session\" }")).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        let large = format!("{{\"data\":{{}},\"x\":\"{}\"}}", "y".repeat(2 << 20));
        type Case = (u16, &'static [(&'static str, &'static str)], String);
        let cases: [Case; 8] = [
            (200, &[], "not json".into()),
            (200, &[("content-type", "application/json")], "[1,2]".into()),
            (200, &[("content-type", "application/json")], large),
            (206, &[("content-type", "application/json")], "{\"data\":{}}".into()),
            (200, &[("content-encoding", "br")], "{\"data\":{}}".into()),
            (200, &[("content-encoding", "compress")], "{\"data\":{}}".into()),
            (404, &[("content-type", "application/json")], "{\"data\":{}}".into()),
            (304, &[("etag", "\"v1\"")], String::new()),
        ];
        for (status, headers, body) in cases {
            let answer = body.clone();
            world.app.answers(move |_, _| app::reply(status, headers, answer.clone()));
            let reply = world.get_as("ann", &path).await;
            assert_eq!(reply.status(), status);
            assert!(reply.text().await.unwrap() == body);
        }
        for code in ["reply_not_json", "pointer_unmatched", "reply_too_large", "reply_encoded"] {
            world.counted("session", code).await;
        }
        world.app.answers(|_, _| app::reply(200, &[("content-length", "11"), ("etag", "\"v1\"")], ""));
        let head = world.request_as("ann", Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.headers()["etag"], "\"v1\"");
    }

    async fn policy_and_grants_decide(form: Form) {
        let rules = "session = { response_header = \"X-Viewer-Session\" }\nallow = \"claims.role != 'guest'\"\n\
            grant = [{ when = \"claims.role == 'editor' && document.size > 10\", permissions = [\"write\", \"download\"] }]";
        let world = World::with(&delivered_by(rules)).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let as_role = async |role: &str| {
            let token = tokens::with("ann", &json!({ "role": role }));
            let request = world.request(Method::GET, &format!("/api/files/{id}")).bearer_auth(token);
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status(), 200, "the app's reply comes in any case");
            reply.headers().get("x-viewer-session").map(|v| tokens::payload(v.to_str().unwrap()))
        };
        assert!(as_role("guest").await.is_none());
        world.counted("session", "denied_by_policy").await;
        let member = as_role("member").await.unwrap();
        assert_eq!(member["allowed_documents"][0]["permissions"], json!(["read"]));
        let editor = as_role("editor").await.unwrap();
        assert_eq!(editor["allowed_documents"][0]["permissions"], json!(["read", "write", "download"]));
    }

    async fn without_an_identity_the_apps_word_alone_decides(form: Form) {
        let start = CONFIG.find("[documents.files]").unwrap();
        let world = World::with(&CONFIG[start..]).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let (status, problem) = world.session_as("bob", &id).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_app")));
        // Another token is no other session, as nothing reads it.
        let (path, token) = (format!("/.transom/session/files/{id}"), tokens::for_user("ann"));
        let ask = async || -> serde_json::Value {
            let request = world.request(Method::GET, &path).bearer_auth(&token);
            request.send().await.unwrap().json().await.unwrap()
        };
        assert_eq!(ask().await["session"], ask().await["session"], "from the cache");
        assert_eq!(world.dws.sessions_minted().await, 1);
    }

    async fn a_navigation_gets_the_page_and_everybody_else_the_bytes(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/files/{id}/content");
        let bytes = world.get_as("ann", &path).await.bytes().await.unwrap();
        let navigate = |path: String| {
            world.request_as("ann", Method::GET, &path)
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document")
                .header("accept", "text/html,*/*")
        };
        let page = navigate(path.clone()).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("nonce-"));
        let html = page.text().await.unwrap();
        assert!(html.contains("nutrient-viewer.js"), "{html}");
        assert!(!html.contains("eyJ"), "no session in the page itself");

        let others = [
            navigate(format!("{path}?download")),
            navigate(path.clone()).header("range", "bytes=0-0"),
            world.request_as("ann", Method::GET, &path).header("sec-fetch-mode", "cors").header("accept", "text/html"),
            world.request_as("ann", Method::GET, &path).header("accept", "*/*"),
        ];
        for request in others {
            let reply = request.send().await.unwrap();
            assert!(reply.bytes().await.unwrap() == bytes);
        }
        let bob = world.request_as("bob", Method::GET, &path).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        let bob = bob.send().await.unwrap();
        assert_eq!(bob.status(), 403);
        assert_eq!(bob.text().await.unwrap(), "not yours");
    }
}
