//! Documents that are older than Transom: taken from the app when somebody first views them.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::support::app::{App, Seen, reply, user};
use crate::support::{CONFIG, Form, World, files};

/// An app that had ann's document 7 before Transom came, and serves it as `source` says.
fn old(source: impl Fn() -> Response + Send + Sync + 'static) -> App {
    App::answering(move |_, seen| match user(seen).as_deref() {
        Some("ann") if seen.uri.path().ends_with("/content") => source(),
        Some("ann") => metadata(seen),
        Some(_) => reply(403, &[], "not yours"),
        None => reply(401, &[], "who are you?"),
    })
}

fn metadata(seen: &Seen) -> Response {
    match seen.uri.path() {
        "/api/files/7" => {
            reply(200, &[("content-type", "application/json")], r#"{"data":{"id":7}}"#)
        }
        _ => reply(404, &[], "no such file"),
    }
}

fn document(disposition: &str) -> Response {
    reply(
        200,
        &[("content-type", "application/pdf"), ("content-disposition", disposition)],
        files::pdf("old"),
    )
}

fn fetches(world: &World) -> usize {
    world.app.seen().iter().filter(|seen| seen.uri.path() == "/files/7/content").count()
}

/// A body that goes on so long after its beginning.
fn slowly(bytes: Vec<u8>, pause: Duration) -> Body {
    let bytes = Bytes::from(bytes);
    paused(bytes.slice(..10), pause, Ok(bytes.slice(10..)))
}

fn paused(first: Bytes, pause: Duration, then: std::io::Result<Bytes>) -> Body {
    let rest = async move {
        tokio::time::sleep(pause).await;
        then
    };
    let first = futures_util::stream::once(async { Ok(first) });
    Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::once(rest)))
}

in_both_forms! {
    async fn an_old_document_can_be_viewed_at_once(form: Form) {
        let app = old(|| document("inline; filename=\"Contract 7.pdf\""));
        let world = World::usual().app(app).start(form).await;
        let (status, session) = world.session_as("ann", "7").await;
        assert_eq!(status, 200, "{session}");
        let documents = world.dws.documents().await;
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].title.as_deref(), Some("Contract 7.pdf"));
        assert!(world.dws.content(&documents[0].id).await == files::pdf("old"));
        assert_eq!(session["document_id"], documents[0].id.as_str());

        let seen = world.app.last(&Method::GET, "/files/7/content");
        assert!(seen.headers["authorization"].to_str().unwrap().starts_with("Bearer "));
        assert_eq!(seen.headers["accept-encoding"], "identity");
        assert!(!seen.headers.contains_key("range"));
        world.session_in_the_end("ann", "7").await;
        assert_eq!(fetches(&world), 1);
        world.counted("source", "captured").await;
        world.spool_is_empty_in_the_end().await;
    }

    async fn only_who_may_see_it_causes_a_fetch_or_profits_from_one(form: Form) {
        let slow = || reply(200, &[], slowly(files::pdf("old"), Duration::from_millis(300)));
        let world = World::usual().app(old(slow)).start(form).await;
        let (status, problem) = world.session_as("bob", "7").await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_app")));
        let anonymous = world.request(Method::GET, "/.transom/session/files/7").send().await.unwrap();
        assert_eq!(anonymous.status(), 401);
        let reply = world.get_as("bob", "/api/files/7").await;
        assert_eq!(reply.status(), 403);
        assert_eq!(fetches(&world), 0);

        let (ann, bob) = tokio::join!(world.session_as("ann", "7"), async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            world.session_as("bob", "7").await
        });
        assert_eq!((ann.0, bob.0), (200, 403));
        assert_eq!(world.session_as("bob", "7").await.0, 403);
        assert_eq!(fetches(&world), 1);
    }

    async fn a_rule_says_no_before_the_app_is_asked_for_the_bytes(form: Form) {
        let config = CONFIG.replacen("session = [", "allow = \"claims.sub != 'ann'\"\nsession = [", 1);
        let world = World::with(&config).app(old(|| document("inline"))).start(form).await;
        let (status, problem) = world.session_as("ann", "7").await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_policy")));
        assert_eq!(fetches(&world), 0);
    }

    async fn a_rule_may_look_at_the_document(form: Form) {
        let config = CONFIG.replacen("session = [", "allow = \"document.size > 10\"\nsession = [", 1);
        let world = World::with(&config).app(old(|| document("inline"))).start(form).await;
        assert_eq!(world.session_as("ann", "7").await.0, 200);
    }

    async fn many_first_views_fetch_once(form: Form) {
        let slow = || reply(200, &[], slowly(files::pdf("old"), Duration::from_millis(500)));
        let world = World::usual().app(old(slow)).start(form).await;
        let answers = futures_util::future::join_all((0..200).map(|_| world.session_as("ann", "7"))).await;
        assert!(answers.iter().any(|(status, _)| *status == 200));
        assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 202)), "{answers:?}");
        assert_eq!(fetches(&world), 1);
        world.dws.has_documents(1).await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn the_apps_reply_carries_the_session_of_a_small_document(form: Form) {
        let world = World::usual().app(old(|| document("inline"))).start(form).await;
        let reply = world.get_as("ann", "/api/files/7").await;
        assert_eq!(reply.status(), 200);
        assert!(reply.headers().contains_key("x-viewer-session"));
        assert_eq!(fetches(&world), 1);
    }

    async fn the_apps_reply_does_not_wait_for_a_slow_source(form: Form) {
        let config = CONFIG.replace("route = \"GET /api/files/{id}\"\nsession", "route = \"GET /api/files/{id}\"\nwait = \"200ms\"\nsession");
        let slow = || reply(200, &[], slowly(files::pdf("old"), Duration::from_secs(3)));
        let world = World::with(&config).app(old(slow)).start(form).await;
        let began = std::time::Instant::now();
        let reply = world.get_as("ann", "/api/files/7").await;
        assert_eq!(reply.status(), 200);
        assert!(!reply.headers().contains_key("x-viewer-session"));
        assert_eq!(reply.text().await.unwrap(), r#"{"data":{"id":7}}"#);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        world.counted("session", "document_pending").await;
        let (status, problem) = world.session_as("ann", "7").await;
        assert_eq!((status, problem["code"].as_str()), (202, Some("document_pending")));
        world.session_in_the_end("ann", "7").await;
        assert_eq!(fetches(&world), 1);
    }

    async fn a_navigation_to_the_source_itself_gets_the_page_or_the_bytes(form: Form) {
        let navigate = async |world: &World| {
            let request = world.request_as("ann", Method::GET, "/files/7/content");
            request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document").send().await.unwrap()
        };
        let typed = |body: Body| reply(200, &[("content-type", "application/pdf")], body);
        let world = World::usual().app(old(move || typed(files::pdf("old").into()))).start(form).await;
        let page = navigate(&world).await;
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));

        let config = CONFIG.replace("session = { page = true }", "session = { page = true }\nwait = \"100ms\"");
        let slow = move || typed(slowly(files::pdf("old"), Duration::from_millis(500)));
        let world = World::with(&config).app(old(slow)).start(form).await;
        let bytes = navigate(&world).await;
        assert_eq!(bytes.headers()["content-type"], "application/pdf");
        assert!(bytes.bytes().await.unwrap() == files::pdf("old"));
        world.session_in_the_end("ann", "7").await;
    }

    async fn what_the_source_does_not_give_is_no_document(form: Form) {
        let too_large = || reply(200, &[], files::large_pdf("large", 9 << 20));
        let too_large_unannounced = || reply(200, &[], slowly(files::large_pdf("large", 9 << 20), Duration::ZERO));
        let short = || {
            let broken = Err(std::io::Error::other("the app broke off"));
            reply(200, &[], paused(files::pdf("short").into(), Duration::from_millis(300), broken))
        };
        type Source = Box<dyn Fn() -> Response + Send + Sync>;
        let cases: [(Source, &str, u16, &str); 12] = [
            (Box::new(|| reply(404, &[], "")), "document_unknown", 404, "document_unknown"),
            (Box::new(|| reply(403, &[], "")), "denied_by_app", 403, "denied_by_app"),
            (Box::new(|| reply(302, &[("location", "/login")], "")), "denied_by_app", 403, "denied_by_app"),
            (Box::new(|| reply(200, &[("content-type", "text/html")], "<html>log in</html>")), "type_not_captured", 404, "document_unknown"),
            (Box::new(|| reply(200, &[("content-type", "application/pdf")], "GIF89a")), "type_not_captured", 404, "document_unknown"),
            (Box::new(|| reply(200, &[], "")), "file_empty", 404, "document_unknown"),
            (Box::new(too_large), "file_too_large", 404, "document_unknown"),
            (Box::new(too_large_unannounced), "file_too_large", 404, "document_unknown"),
            (Box::new(|| reply(200, &[("content-encoding", "gzip")], files::pdf("x"))), "reply_encoded", 404, "document_unknown"),
            (Box::new(|| reply(206, &[("content-range", "bytes 0-9/10")], files::pdf("x"))), "source_failed", 503, "app_unavailable"),
            (Box::new(|| reply(500, &[], "boom")), "source_failed", 503, "app_unavailable"),
            (Box::new(short), "reply_incomplete", 503, "app_unavailable"),
        ];
        for (source, counted, status, code) in cases {
            let world = World::usual().app(old(source)).start(form).await;
            for _ in 0..3 {
                let (got, problem) = world.session_as("ann", "7").await;
                assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{counted}");
            }
            assert_eq!(fetches(&world), 1, "{counted}: a failure is remembered");
            world.counted("source", counted).await;
            let reply = world.get_as("ann", "/api/files/7").await;
            assert_eq!(reply.status(), 200, "the app's own reply comes in any case");
            world.spool_is_empty_in_the_end().await;
            assert_eq!(world.dws.documents().await.len(), 0, "{counted}");
        }
    }

    async fn a_document_that_changes_meanwhile_is_not_kept_as_it_was(form: Form) {
        let world = World::usual().start(form).await;
        world.app.answers(|_, seen| match (seen.method.as_str(), seen.uri.path()) {
            ("GET", "/files/7/content") => reply(200, &[], slowly(files::pdf("old"), Duration::from_secs(2))),
            _ => reply(200, &[], ""),
        });
        let (viewed, ()) = tokio::join!(world.session_as("ann", "7"), async {
            while fetches(&world) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let deleted = world.request_as("ann", Method::DELETE, "/api/files/7").send().await.unwrap();
            assert_eq!(deleted.status(), 200);
        });
        assert_eq!(viewed.0, 202, "{viewed:?}");
        world.counted("source", "document_pending").await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
        world.app.answers(|_, _| reply(404, &[], ""));
        assert_eq!(world.session_as("ann", "7").await.0, 403);
    }

    async fn dws_being_down_delays_the_document_and_nothing_else(form: Form) {
        let config = CONFIG.replacen("session = [", "wait = \"300ms\"\nsession = [", 1);
        let world = World::with(&config).app(old(|| document("inline"))).start(form).await;
        world.dws.fault("upload", json!({ "fault": "status", "status": 429 })).await;
        let reply = world.get_as("ann", "/api/files/7").await;
        assert_eq!(reply.text().await.unwrap(), r#"{"data":{"id":7}}"#);
        let (status, problem) = world.session_as("ann", "7").await;
        assert_eq!((status, problem["code"].as_str()), (202, Some("document_pending")));
        assert_eq!(fetches(&world), 1);
        world.dws.clear_faults().await;
        world.session_in_the_end("ann", "7").await;
        assert_eq!(fetches(&world), 1);
    }
}
