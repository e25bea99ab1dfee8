//! Changes that never came by are noticed by what the app says of its own bytes.

use std::sync::{Arc, Mutex};

use axum::response::Response;
use http::Method;

use crate::support::app::{App, Seen, reply, user};
use crate::support::{CONFIG, Form, World, files};

/// The probe asks for the bytes.
fn by_source() -> String {
    CONFIG.replace("probe = \"GET /api/files/{id}\"\n", "")
}

/// The probe asks for JSON, and the operator wants changes to be noticed.
fn by_order() -> String {
    CONFIG.replace("[documents.files]\n", "[documents.files]\nvalidate = true\n")
}

#[derive(Clone, Default)]
struct Version {
    bytes: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

/// Document 7, in the version that the test put there.
#[derive(Clone, Default)]
struct Changing(Arc<Mutex<Version>>);

impl Changing {
    fn app(&self) -> App {
        let changing = self.clone();
        App::answering(move |_, seen| changing.answer(seen))
    }

    fn is_now(&self, bytes: Vec<u8>, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        *self.0.lock().unwrap() = Version { bytes, headers };
    }

    fn answer(&self, seen: &Seen) -> Response {
        if user(seen).as_deref() != Some("ann") {
            return reply(403, &[], "");
        }
        let version = self.0.lock().unwrap().clone();
        match (seen.method.as_str(), seen.uri.path()) {
            ("POST", _) => reply(201, &[], r#"{"data":{"id":7}}"#),
            ("GET", path) if path.ends_with("/content") => {
                let mut headers = vec![("content-type", "application/pdf")];
                headers.extend(version.headers.iter().map(|(name, value)| (*name, value.as_str())));
                reply(200, &headers, version.bytes)
            }
            _ => reply(200, &[("content-type", "application/json")], r#"{"data":{"id":7}}"#),
        }
    }
}

/// A view in each way; the bytes of the session that it gives.
async fn shown(world: &World, way: &str) -> Option<Vec<u8>> {
    for _ in 0..100 {
        let reply = world.get_as("ann", way).await;
        let status = reply.status();
        let header = reply.headers().get("x-viewer-session").cloned();
        let body: serde_json::Value = reply.json().await.unwrap_or_default();
        let token = body["session"].as_str().or(body["data"]["viewer_session"].as_str());
        let token = token.or(header.as_ref().and_then(|header| header.to_str().ok()));
        if let Some(token) = token {
            let claims = crate::support::tokens::payload(token);
            let document = claims["allowed_documents"][0]["document_id"].as_str().unwrap();
            return Some(world.dws.content(document).await);
        }
        if status != 202 && status != 200 {
            return None;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    None
}

const ENDPOINT: &str = "/.transom/session/files/7";
const JSON: &str = "/api/files/7";

async fn uploaded(config: &str, form: Form) -> (World, Changing) {
    let changing = Changing::default();
    changing.is_now(files::pdf("1"), &[("etag", "\"1\""), ("last-modified", EARLIER)]);
    let never = "remember_decisions = \"0s\"";
    let world = World::with(config).app(changing.app()).app_settings(never).start(form).await;
    world.post_file_as("ann", "a.pdf", files::pdf("1")).await.bytes().await.unwrap();
    assert!(shown(&world, ENDPOINT).await == Some(files::pdf("1")));
    (world, changing)
}

const EARLIER: &str = "Tue, 01 Sep 2026 10:00:00 GMT";
const LATER: &str = "Tue, 01 Sep 2026 10:00:01 GMT";

fn fetches(world: &World) -> usize {
    let fetch = |seen: &&Seen| {
        seen.method == Method::GET
            && seen.uri.path().ends_with("/content")
            && !seen.headers.contains_key("range")
    };
    world.app.seen().iter().filter(fetch).count()
}

in_both_forms! {
    async fn a_change_straight_at_the_app_is_seen_by_any_of_its_validators(form: Form) {
        for config in [by_source(), by_order()] {
            for way in [ENDPOINT, JSON] {
                let (world, changing) = uploaded(&config, form).await;
                for (at, (text, headers)) in [
                    ("2", &[("etag", "\"2\""), ("last-modified", EARLIER)][..]),
                    ("3", &[("last-modified", LATER)]),
                    ("longer", &[("last-modified", LATER)]),
                ]
                .into_iter()
                .enumerate()
                {
                    changing.is_now(files::pdf(text), headers);
                    assert!(shown(&world, way).await == Some(files::pdf(text)), "{way}, change {at}");
                }
            }
        }
    }

    async fn a_browser_at_the_bytes_own_address_sees_the_change_in_its_page(form: Form) {
        let (world, changing) = uploaded(&by_source(), form).await;
        changing.is_now(files::pdf("2"), &[("etag", "\"2\"")]);
        let page = world.request_as("ann", Method::GET, "/files/7/content");
        let page = page.header("accept", "text/html").send().await.unwrap();
        assert!(page.status().is_success());
        assert!(shown(&world, ENDPOINT).await == Some(files::pdf("2")));
    }

    async fn a_change_while_the_bytes_are_on_their_way_to_dws_is_seen_by_the_view_that_waits(form: Form) {
        let config = by_source().replace("session = ", "wait = \"30s\"\nsession = ");
        for way in [ENDPOINT, JSON] {
            let (world, changing) = uploaded(&config, form).await;
            world.dws.fault("upload", serde_json::json!({ "fault": "slow_headers", "delay_ms": 1500 })).await;
            changing.is_now(files::pdf("2"), &[("etag", "\"2\"")]);
            let put = world.request_as("ann", Method::PUT, "/api/files/7/content");
            put.body(files::pdf("2")).send().await.unwrap().bytes().await.unwrap();
            changing.is_now(files::pdf("the third"), &[("etag", "\"3\"")]);
            assert!(shown(&world, way).await == Some(files::pdf("the third")), "{way}");
        }
    }

    async fn another_document_under_the_same_id_is_not_the_one_before(form: Form) {
        let (world, changing) = uploaded(&by_source(), form).await;
        changing.is_now(b"a spreadsheet that no viewer shows".to_vec(), &[("etag", "\"9\"")]);
        let (status, problem) = world.session_as("ann", "7").await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("document_changed")));
        changing.is_now(files::pdf("another"), &[("etag", "\"10\"")]);
        let put = world.request_as("ann", Method::PUT, "/api/files/7/content");
        put.body(files::pdf("another")).send().await.unwrap().bytes().await.unwrap();
        assert!(shown(&world, ENDPOINT).await == Some(files::pdf("another")));
    }

    async fn validators_that_change_by_themselves_cost_a_few_looks_and_no_upload(form: Form) {
        let (world, changing) = uploaded(&by_source(), form).await;
        let stored = world.dws.documents().await;
        for round in 2..12 {
            changing.is_now(files::pdf("1"), &[("etag", &format!("\"{round}\""))]);
            assert!(shown(&world, ENDPOINT).await == Some(files::pdf("1")), "{round}");
        }
        assert_eq!(world.dws.documents().await.len(), stored.len());
        assert!(fetches(&world) <= 5, "{} fetches", fetches(&world));
        changing.is_now(files::pdf("longer than before"), &[("etag", "\"99\"")]);
        assert!(shown(&world, ENDPOINT).await == Some(files::pdf("longer than before")));
    }

    async fn what_the_app_says_nothing_of_is_compared_by_its_length(form: Form) {
        let (world, changing) = uploaded(&by_source(), form).await;
        changing.is_now(files::pdf("much longer"), &[]);
        assert!(shown(&world, ENDPOINT).await == Some(files::pdf("much longer")));
        let before = fetches(&world);
        assert!(shown(&world, ENDPOINT).await == Some(files::pdf("much longer")));
        assert_eq!(fetches(&world), before, "settled");
    }
}
