//! The session endpoint, the cache, and what DWS gives.

use http::Method;
use serde_json::json;

use crate::support::{CONFIG, Form, World, tokens};

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
