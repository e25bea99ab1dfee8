//! The session endpoint, the cache, and what DWS gives.

use http::Method;
use serde_json::json;

use crate::support::app::{App, reply};
use crate::support::{CONFIG, Form, World, files, tokens};

/// An app of old: it knows people by a session cookie and sends everybody else to its login. Its document 7 is ann's and
/// carol's.
fn with_cookies() -> App {
    App::answering(|_, seen| {
        let cookies =
            seen.headers.get("cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let session = cookies.split("; ").find_map(|pair| pair.strip_prefix("sid="));
        match (session, seen.uri.path()) {
            (Some("of-ann" | "of-carol"), "/files/7/content") => {
                reply(200, &[("content-type", "application/pdf")], files::pdf("old"))
            }
            (Some("of-ann" | "of-carol"), "/api/files/7") => {
                reply(200, &[("content-type", "application/json")], "{\"data\":{}}")
            }
            (Some("of-ann" | "of-carol" | "of-bob"), _) => {
                reply(404, &[("content-type", "text/html")], "no such page")
            }
            _ => reply(302, &[("location", "/login")], ""),
        }
    })
}

in_both_forms! {
    async fn an_app_that_has_nothing_but_a_session_cookie(form: Form) {
        let rules = &CONFIG[CONFIG.find("[documents.files]").unwrap()..];
        let world = World::with(rules).app(with_cookies()).app_settings("remember_decisions = \"off\"").start(form).await;
        let own = async |cookie: &str| {
            let request = world.request(Method::GET, "/.transom/session/files/7").header("cookie", cookie);
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
        };
        let (status, ann) = own("theme=dark; sid=of-ann").await;
        assert_eq!(status, 200, "{ann}");
        for cookie in ["sid=of-bob", "sid=of-nobody", "sid=", "theme=dark"] {
            let (status, problem) = own(cookie).await;
            assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_app")), "{cookie}");
        }
        assert_eq!(own("theme=dark; sid=of-ann").await.1["session"], ann["session"]);
        assert_eq!(own("sid=of-carol").await.1["session"], ann["session"], "whom the app lets in, and nobody names");
        assert!(tokens::payload(ann["session"].as_str().unwrap()).get("user_id").is_none(), "nobody knows a name");

        let get = |path: &str, cookie: &str| world.request(Method::GET, path).header("cookie", cookie);
        let view = get("/api/files/7", "sid=of-carol").send().await.unwrap();
        assert!(view.headers().contains_key("x-viewer-session"));
        assert!(view.text().await.unwrap().contains("\"viewer_session\":\"ey"));
        let page = |cookie: &str| get("/files/7/content", cookie).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        assert!(page("sid=of-ann").send().await.unwrap().text().await.unwrap().contains("nutrient-viewer.js"));
        let login = page("sid=of-nobody").send().await.unwrap();
        assert_eq!((login.status().as_u16(), login.headers()["location"].to_str().unwrap()), (302, "/login"));

        // Logged out: what was handed out before is not handed out again.
        world.app.answers(|_, _| reply(302, &[("location", "/login")], ""));
        assert_eq!(own("theme=dark; sid=of-ann").await.0, 403);
    }
}

in_both_forms! {
    async fn a_thousand_requests_at_once_mint_one_session(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.dws.has_documents(1).await;
        world.dws.fault("session", json!({ "fault": "slow_headers", "delay_ms": 300 })).await;
        let requests = (0..1000).map(|_| world.session_as("ann", &id));
        let answers = futures_util::future::join_all(requests).await;
        let sessions: std::collections::BTreeSet<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .map(|(_, json)| json["session"].to_string())
            .collect();
        assert_eq!(sessions.len(), 1);
        assert!(answers.iter().all(|(status, _)| *status == 200 || *status == 202));
        assert_eq!(world.dws.sessions_minted().await, 1);
        world.session_in_the_end("ann", &id).await;
        let carol = world.session_as("carol", &id).await;
        assert_eq!(carol.0, 403);
    }

    async fn a_refused_session_is_replaced_but_not_with_every_request(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let first = world.session_in_the_end("ann", &id).await;
        let address = format!("/.transom/session/files/{id}?fresh");
        let anew: serde_json::Value = loop {
            let answer: serde_json::Value = world.get_as("ann", &address).await.json().await.unwrap();
            if answer["session"] != first["session"] {
                break answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert!(anew["session"].is_string(), "{anew}");
        assert_eq!(world.session_as("ann", &id).await.1["session"], anew["session"]);
        assert_eq!(world.get_as("bob", &address).await.status(), 403);
        assert_eq!(world.dws.sessions_minted().await, 2);
    }

    async fn refused_sessions_are_replaced_later_and_later(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let mut known = world.session_in_the_end("ann", &id).await;
        let address = format!("/.transom/session/files/{id}?fresh");
        let (began, mut replaced) = (std::time::Instant::now(), Vec::new());
        while began.elapsed() < std::time::Duration::from_secs(14) {
            let answer: serde_json::Value = world.get_as("ann", &address).await.json().await.unwrap();
            assert!(answer["session"].is_string(), "{answer}");
            if answer["session"] != known["session"] {
                replaced.push(began.elapsed().as_secs_f32());
                known = answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // After 2, 2 + 2 and 2 + 2 + 4 seconds; the next one after 8 more.
        assert!(replaced.len() <= 3 && replaced.len() > 1, "{replaced:?}");
        assert_eq!(world.dws.sessions_minted().await, 1 + replaced.len() as u64);
    }

    async fn callers_without_a_name_share_a_session(form: Form) {
        let rules = &CONFIG[CONFIG.find("[documents.files]").unwrap()..];
        let world = World::with(rules).app(with_cookies()).start(form).await;
        let mut sessions = std::collections::BTreeSet::new();
        for visit in 0..100 {
            let cookie = format!("_ga=GA1.1.{visit}; sid=of-ann");
            let view = world.request(Method::GET, "/api/files/7").header("cookie", cookie);
            let reply = view.send().await.unwrap();
            sessions.insert(reply.headers()["x-viewer-session"].to_str().unwrap().to_owned());
        }
        assert_eq!((sessions.len(), world.dws.sessions_minted().await), (1, 1));
        let bob = world.request(Method::GET, "/api/files/7").header("cookie", "sid=of-bob");
        assert!(!bob.send().await.unwrap().headers().contains_key("x-viewer-session"), "each is authorised");
    }

    async fn a_session_never_outlives_the_apps_token(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let long = world.session_in_the_end("ann", &id).await;
        assert!(long["expires_at"].as_u64().unwrap() <= tokens::now() + 900);
        let until = tokens::now() + 120;
        let token = tokens::with("ann", &json!({ "exp": until }));
        let request = world.request(Method::GET, &format!("/.transom/session/files/{id}"));
        let short: serde_json::Value = request.bearer_auth(token).send().await.unwrap().json().await.unwrap();
        assert!(short["expires_at"].as_u64().unwrap() <= until, "{short}");
        let claims = tokens::payload(short["session"].as_str().unwrap());
        assert!(claims["exp"].as_u64().unwrap() <= until);
    }

    async fn a_wider_grant_than_asked_is_thrown_away(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.dws.has_documents(1).await;
        for what in [
            json!({ "grant_all": true }),
            json!({ "grant_document": "01ANOTHER" }),
            json!({ "grant_extra_document": "01ANOTHER" }),
            json!({ "grant_longer": 3600 }),
            json!({ "omit_permissions": true }),
        ] {
            world.dws.quirks(what.clone()).await;
            let mut answer = world.session_as("ann", &id).await;
            while answer.0 == 202 {
                answer = world.session_as("ann", &id).await;
            }
            assert_eq!((answer.0, answer.1["code"].as_str()), (502, Some("session_too_wide")), "{what}");
            assert!(!answer.1.to_string().contains("eyJ"));
        }
        world.dws.quirks(json!({})).await;
        world.session_in_the_end("ann", &id).await;
    }

    async fn unknown_documents_and_addresses_are_told(form: Form) {
        let world = World::usual().start(form).await;
        // The app knows it, DWS does not.
        world.app.answers(|_, _| crate::support::app::reply(200, &[], ""));
        let (status, problem) = world.session_as("ann", "77").await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("document_unknown")));
        let (status, problem) = world.session_as("ann", "..%2F77").await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("document_unknown")));
        for path in ["/.transom/", "/.transom/session/files", "/.transom/session/other/1", "/.transom/x/files/1"] {
            let reply = world.get_as("ann", path).await;
            assert_eq!(reply.status(), 404, "{path}");
            assert_eq!(reply.headers()["cache-control"], "no-store");
            assert_eq!(reply.headers()["content-type"], "application/problem+json");
        }
    }

    async fn dws_troubles_have_their_codes_and_leave_the_app_alone(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.dws.has_documents(1).await;
        for (fault, expected) in [
            (json!({ "fault": "status", "status": 402 }), "quota_exhausted"),
            (json!({ "fault": "status", "status": 500 }), "dws_unavailable"),
            (json!({ "fault": "invalid_json" }), "dws_unavailable"),
        ] {
            world.dws.clear_faults().await;
            world.dws.fault("session", fault).await;
            let mut answer = world.session_as("ann", &id).await;
            while answer.0 == 202 {
                answer = world.session_as("ann", &id).await;
            }
            assert_eq!((answer.0, answer.1["code"].as_str()), (503, Some(expected)));
            let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
            assert_eq!(reply.status(), 200);
            assert!(!reply.headers().contains_key("x-viewer-session"));
        }
    }

    async fn the_app_in_trouble_means_no_session(form: Form) {
        let world = World::usual().app_settings("remember_decisions = \"off\"").start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.app.answers(|_, _| crate::support::app::reply(500, &[], "boom"));
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, problem["code"].as_str()), (503, Some("app_unavailable")));
        world.app.answers(|_, _| crate::support::app::reply(302, &[("location", "/login")], ""));
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_app")));
    }

    async fn the_token_alone_may_be_enough_where_the_operator_says_so(form: Form) {
        let config = CONFIG.replacen("session = [", "authorize = [\"token\"]\nsession = [", 1);
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("bob", &id).await;
    }
}
