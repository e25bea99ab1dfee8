//! An app's reply to a write that proves little counts only after a look at the app.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::Response;
use http::Method;
use tokio::sync::Notify;

use crate::support::app::{App, Seen, reply, user};
use crate::support::{CONFIG, Form, World, files};

/// Forms, as of an app from before its users had scripts.
const FORMS: &str = r#"
[[documents.files.upload]]
route = "POST /upload"
file = { part = "file" }
id = { header = "location", pattern = "/files/{id}" }

[[documents.files.replace]]
route = "POST /files/{id}/replace"
file = { part = "file" }
accepted = "reply.status == 303"

[[documents.files.delete]]
route = "POST /files/{id}/delete"
accepted = "reply.status in [200, 204, 302, 303]"
"#;

fn forms() -> String {
    format!("{CONFIG}{FORMS}")
}

fn without_source(config: &str) -> String {
    config.replace("source = \"GET /files/{id}/content\"\n", "")
}

/// Ann's documents. What others ask for, and what is refused, is answered with a redirect or a page.
#[derive(Clone, Default)]
struct Legacy {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    refuses: Arc<Mutex<bool>>,
    /// What strangers get.
    stranger: Arc<Mutex<u16>>,
}

impl Legacy {
    fn app(&self) -> App {
        let legacy = self.clone();
        App::answering(move |_, seen| legacy.answer(seen))
    }

    fn answer(&self, seen: &Seen) -> Response {
        let path = seen.uri.path().to_owned();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let page = || reply(200, &[("content-type", "text/html; charset=utf-8")], "<form>");
        if user(seen).as_deref() != Some("ann") {
            return match *self.stranger.lock().unwrap() {
                200 => page(),
                404 if seen.method == Method::GET => reply(404, &[], ""),
                403 => reply(403, &[], ""),
                _ => reply(302, &[("location", "/login")], ""),
            };
        }
        let back = |to: &str| reply(303, &[("location", to)], "");
        let referer = seen.headers.get("referer").and_then(|value| value.to_str().ok());
        let refuses = *self.refuses.lock().unwrap();
        let mut files = self.files.lock().unwrap();
        match (seen.method.as_str(), segments.as_slice()) {
            ("POST", _) if refuses => referer.map_or_else(page, back),
            ("POST", ["upload"]) => {
                let id = (files.len() + 1).to_string();
                files.insert(id.clone(), file_of(&seen.body));
                back(&format!("/files/{id}"))
            }
            ("POST", ["api", "files"]) => {
                let id = files.len() + 1;
                files.insert(id.to_string(), file_of(&seen.body));
                let json = format!("{{\"data\":{{\"id\":{id}}}}}");
                reply(201, &[("content-type", "application/json")], json)
            }
            ("POST", ["files", id, "replace"]) => {
                files.insert((*id).to_owned(), file_of(&seen.body));
                back(&format!("/files/{id}"))
            }
            ("POST", ["files", id, "delete"]) => {
                files.remove(*id);
                back("/files")
            }
            ("GET", ["files", id, "content"]) => match files.get(*id) {
                Some(bytes) => reply(200, &[("content-type", "application/pdf")], bytes.clone()),
                None => reply(404, &[], ""),
            },
            ("GET", ["api", "files", id]) if files.contains_key(*id) => {
                reply(200, &[("content-type", "application/json")], r#"{"data":{}}"#)
            }
            _ => reply(404, &[], ""),
        }
    }
}

fn file_of(body: &[u8]) -> Vec<u8> {
    let start = body.windows(5).position(|five| five == b"%PDF-").unwrap();
    let end = body.windows(4).rposition(|four| four == b"\r\n--").unwrap();
    body[start..end].to_vec()
}

async fn post(world: &World, user: &str, path: &str, referer: &str, bytes: Option<Vec<u8>>) -> u16 {
    let mut request = world.request_as(user, Method::POST, path).header("referer", referer);
    if let Some(bytes) = bytes {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("a.pdf");
        request = request.multipart(reqwest::multipart::Form::new().part("file", part));
    }
    request.send().await.unwrap().status().as_u16()
}

async fn shown(world: &World, id: &str) -> Result<Vec<u8>, String> {
    world.shown_to("ann", id).await
}

async fn with_one(config: &str, form: Form) -> (World, Legacy, String) {
    let legacy = Legacy::default();
    let world = World::with(config).app(legacy.app()).start(form).await;
    assert_eq!(world.post_file_as("ann", "first.pdf", files::pdf("first")).await.status(), 201);
    let session = world.session_in_the_end("ann", "1").await;
    (world, legacy, session["document_id"].as_str().unwrap().to_owned())
}

in_both_forms! {
    async fn a_stranger_who_is_sent_to_the_login_deletes_nothing(form: Form) {
        for stranger in [302, 200, 404, 403] {
            for config in [forms(), without_source(&forms())] {
                let (world, legacy, document) = with_one(&config, form).await;
                *legacy.stranger.lock().unwrap() = stranger;
                post(&world, "bob", "/files/1/delete", "/", None).await;
                let anonymous = world.request(Method::POST, "/files/1/delete").send().await.unwrap();
                assert!(anonymous.status().as_u16() < 500);
                tokio::time::sleep(Duration::from_millis(300)).await;
                let documents = world.dws.documents().await;
                assert!(documents.iter().any(|one| one.id == document), "{stranger}");
                if config.contains("source =") {
                    assert!(shown(&world, "1").await == Ok(files::pdf("first")), "{stranger}");
                }
            }
        }
    }

    async fn a_deletion_that_is_answered_with_a_redirect_counts_once_the_app_says_gone(form: Form) {
        for config in [forms(), without_source(&forms())] {
            let (world, _, document) = with_one(&config, form).await;
            assert_eq!(post(&world, "ann", "/files/1/delete", "/", None).await, 303);
            world.dws.lost(&document).await;
            world.counted("delete", "deleted").await;
            assert_ne!(world.session_as("ann", "1").await.0, 200);
        }
    }

    async fn a_form_that_is_shown_again_deletes_and_replaces_nothing(form: Form) {
        let (world, legacy, document) = with_one(&forms(), form).await;
        *legacy.refuses.lock().unwrap() = true;
        for referer in ["/files/1", "/login"] {
            post(&world, "ann", "/files/1/delete", referer, None).await;
            post(&world, "ann", "/files/1/replace", referer, Some(files::pdf("refused"))).await;
            post(&world, "ann", "/upload", referer, Some(files::pdf("refused"))).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(shown(&world, "1").await == Ok(files::pdf("first")));
        let documents = world.dws.documents().await;
        assert_eq!(documents.len(), 1, "{documents:?}");
        assert_eq!(documents[0].id, document);
        world.spool_is_empty_in_the_end().await;
    }

    async fn an_upload_refused_with_a_redirect_to_a_document_of_old_is_not_taken_for_it(form: Form) {
        let legacy = Legacy::default();
        let world = World::with(&forms()).app(legacy.app()).start(form).await;
        legacy.files.lock().unwrap().insert("8".to_owned(), files::pdf("the app's"));
        *legacy.refuses.lock().unwrap() = true;
        post(&world, "ann", "/upload", "/files/8", Some(files::pdf("forged"))).await;
        assert!(shown(&world, "8").await == Ok(files::pdf("the app's")));
    }

    async fn uploads_and_replacements_by_forms_are_captured_once_the_app_has_them(form: Form) {
        let (world, _, first) = with_one(&forms(), form).await;
        assert_eq!(post(&world, "ann", "/upload", "/", Some(files::pdf("new"))).await, 303);
        world.dws.has_documents(2).await;
        assert!(shown(&world, "2").await == Ok(files::pdf("new")));
        assert_eq!(post(&world, "ann", "/files/1/replace", "/", Some(files::pdf("second"))).await, 303);
        world.dws.lost(&first).await;
        assert!(shown(&world, "1").await == Ok(files::pdf("second")));
        world.spool_is_empty_in_the_end().await;
    }

    async fn without_a_source_the_probe_decides_on_new_documents(form: Form) {
        let legacy = Legacy::default();
        let config = without_source(&forms());
        let world = World::with(&config).app(legacy.app()).start(form).await;
        assert_eq!(post(&world, "ann", "/upload", "/", Some(files::pdf("new"))).await, 303);
        world.dws.has_documents(1).await;
        assert!(shown(&world, "1").await == Ok(files::pdf("new")));
        *legacy.refuses.lock().unwrap() = true;
        post(&world, "ann", "/upload", "/files/99", Some(files::pdf("refused"))).await;
        world.counted("capture", "not_accepted").await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn confirm_is_what_the_operator_says(form: Form) {
        let always = CONFIG.replace("max_size = \"8 MiB\"", "confirm = true");
        let liar = |_: &App, seen: &Seen| match seen.method.as_str() {
            "POST" => reply(201, &[("content-type", "application/json")], r#"{"data":{"id":5}}"#),
            _ => reply(404, &[], ""),
        };
        let world = World::with(&always).app(App::answering(liar)).start(form).await;
        assert_eq!(world.post_file_as("ann", "a.pdf", files::pdf("a")).await.status(), 201);
        world.counted("capture", "not_accepted").await;
        assert_eq!(world.dws.documents().await.len(), 0);

        let never = forms().replace("route = \"POST /upload\"", "route = \"POST /upload\"\nconfirm = false");
        let legacy = Legacy::default();
        let world = World::with(&never).app(legacy.app()).start(form).await;
        assert_eq!(post(&world, "ann", "/upload", "/", Some(files::pdf("new"))).await, 303);
        world.dws.has_documents(1).await;
        assert!(world.app.seen().iter().all(|seen| seen.method == Method::POST), "no look");
    }

    async fn the_look_does_not_hold_up_the_apps_reply(form: Form) {
        let (legacy, go) = (Legacy::default(), Arc::new(Notify::new()));
        let world = World::with(&forms()).app(legacy.app()).start(form).await;
        let (answers, held) = (legacy.clone(), go.clone());
        world.app.answers(move |_, seen| {
            if seen.method != Method::GET || !seen.uri.path().ends_with("/content") {
                return answers.answer(seen);
            }
            // Its bytes come when the test says so.
            let (held, bytes) = (held.clone(), files::pdf("new"));
            let bytes = futures_util::stream::once(async move {
                held.notified().await;
                Ok::<_, std::io::Error>(bytes::Bytes::from(bytes))
            });
            reply(200, &[("content-type", "application/pdf")], axum::body::Body::from_stream(bytes))
        });
        assert_eq!(post(&world, "ann", "/upload", "/", Some(files::pdf("new"))).await, 303);
        assert_eq!(world.dws.documents().await.len(), 0, "nothing before the look");
        go.notify_one();
        world.dws.has_documents(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_awaits_its_look_survives_a_kill_and_is_settled_by_the_next_view() {
    for config in [forms(), without_source(&forms())] {
        let legacy = Legacy::default();
        let mut world = World::with(&config).app(legacy.app()).start(Form::Binary).await;
        let answers = legacy.clone();
        world.app.answers(move |_, seen| match seen.method.as_str() {
            "GET" => reply(503, &[], ""),
            _ => answers.answer(seen),
        });
        assert_eq!(post(&world, "ann", "/upload", "/", Some(files::pdf("new"))).await, 303);
        world.counted("capture", "unconfirmed").await;
        world.kill().await;
        world.start_again().await;
        assert_eq!(world.spooled().len(), 1, "its bytes are kept");
        assert_eq!(world.dws.documents().await.len(), 0);
        let answers = legacy.clone();
        world.app.answers(move |_, seen| answers.answer(seen));
        let (status, _) = world.session_as("bob", "1").await;
        assert_eq!(status, 403, "another's view settles nothing");
        assert!(shown(&world, "1").await == Ok(files::pdf("new")));
        assert_eq!(world.dws.documents().await.len(), 1);
        world.spool_is_empty_in_the_end().await;
    }
}
