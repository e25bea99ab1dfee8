//! Sessions cost: none is minted for what nobody looks at.

use http::Method;

use crate::support::app::{App, reply};
use crate::support::{CONFIG, Form, World, app, files};

const AHEAD: [(&str, &str); 4] = [
    ("sec-purpose", "prefetch"),
    ("sec-purpose", "prefetch;prerender"),
    ("purpose", "prefetch"),
    ("x-moz", "prefetch"),
];

in_both_forms! {
    async fn a_page_costs_nothing_until_its_script_asks(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.dws.has_documents(1).await;
        world.settled().await;
        for path in [format!("/files/{id}/content"), format!("/.transom/view/files/{id}")] {
            for ahead in [None, Some(AHEAD[0]), Some(AHEAD[1])] {
                let mut visit = world.request_as("ann", Method::GET, &path).header("accept", "text/html");
                if let Some((name, value)) = ahead {
                    visit = visit.header(name, value);
                }
                let page = visit.send().await.unwrap();
                assert_eq!(page.status(), 200, "{path}");
                assert_eq!(page.headers()["cache-control"], "no-store");
                assert!(page.text().await.unwrap().contains("nutrient-viewer.js"));
            }
            let bob = world.request_as("bob", Method::GET, &path).header("accept", "text/html");
            assert_eq!(bob.send().await.unwrap().status(), 403, "{path}");
        }
        let head = world.request_as("ann", Method::HEAD, &format!("/.transom/session/files/{id}"));
        assert_eq!(head.send().await.unwrap().status(), 200);
        assert_eq!(world.dws.sessions_minted().await, 0);
        world.session_in_the_end("ann", &id).await;
        assert_eq!(world.dws.sessions_minted().await, 1);
    }

    async fn what_is_asked_ahead_gets_the_apps_own_reply(form: Form) {
        let rule = |session: &str| {
            let json = "session = [{ json = \"/data/viewer_session\" }, { response_header = \"X-Viewer-Session\" }]";
            CONFIG.replacen(json, session, 1)
        };
        for session in [
            "session = [{ json = \"/data/viewer_session\" }, { response_header = \"X-Viewer-Session\" }, { cookie = \"viewer\" }]",
            "session = { request_header = \"X-Viewer-Session\" }",
        ] {
            let world = World::with(&rule(session)).start(form).await;
            let id = world.upload_as("ann", "a.pdf").await;
            world.dws.has_documents(1).await;
            world.settled().await;
            let path = format!("/api/files/{id}");
            world.app.answers(|_, _| reply(200, &[("cache-control", "public, max-age=60"), ("content-type", "application/json")], "{\"data\":{}}"));
            for (name, value) in AHEAD {
                let answer = world.request_as("ann", Method::GET, &path).header(name, value).send().await.unwrap();
                assert_eq!(answer.headers()["cache-control"], "private, no-store", "the visit itself is to have it");
                for header in ["set-cookie", "x-viewer-session"] {
                    assert!(!answer.headers().contains_key(header));
                }
                assert_eq!(answer.text().await.unwrap(), "{\"data\":{}}");
                assert!(!world.app.last(&Method::GET, &path).headers.contains_key("x-viewer-session"));
                let own = format!("/.transom/session/files/{id}");
                let own = world.request_as("ann", Method::GET, &own).header(name, value).send().await.unwrap();
                assert_eq!(own.status(), 503);
                assert_eq!(own.json::<serde_json::Value>().await.unwrap()["code"], "prefetch");
            }
            assert_eq!(world.dws.sessions_minted().await, 0);
        }
    }

    async fn a_dws_in_trouble_hides_no_document_behind_a_page(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.dws.fault("session", serde_json::json!({ "fault": "status", "status": 500 })).await;
        let other = world.upload_as("ann", "b.pdf").await;
        world.dws.has_documents(2).await;
        world.settled().await;
        assert_eq!(world.session_as("ann", &other).await.0, 503);
        let visit = async || {
            let path = format!("/files/{other}/content");
            let visit = world.request_as("ann", Method::GET, &path).header("accept", "text/html");
            visit.send().await.unwrap().headers()["content-type"].to_str().unwrap().to_owned()
        };
        assert_eq!(visit().await, "application/pdf");
        // Also when replies have begun to wait for DWS again.
        tokio::time::sleep(std::time::Duration::from_millis(5500)).await;
        assert_eq!(visit().await, "application/pdf");
        world.dws.clear_faults().await;
        for _ in 0..100 {
            if visit().await.starts_with("text/html") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("no page in the end");
    }
}

/// Five links on a page, fetched ahead by a browser that shows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_links_fetched_ahead_mint_nothing() {
    let app = App::answering(|_, seen| match (app::user(seen), seen.method == Method::POST) {
        (None, _) => reply(401, &[], ""),
        (_, true) => reply(201, &[], "{\"data\":{\"id\":1}}"),
        _ => reply(200, &[("content-type", "application/pdf")], files::pdf("x")),
    });
    let world = World::usual().app(app).start(Form::Binary).await;
    for id in 1..=5 {
        let link = world.request_as("ann", Method::GET, &format!("/files/{id}/content"));
        let link = link
            .header("sec-purpose", "prefetch")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let page = link.send().await.unwrap();
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    world.settled().await;
    assert_eq!(world.dws.sessions_minted().await, 0);
}
