//! What the viewer shows is what the app has: a document that may have changed there is looked at again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::Response;
use http::Method;
use tokio::sync::Notify;

use crate::support::app::{App, Seen, reply, user};
use crate::support::{CONFIG, Form, World, files, tokens};

/// An app that reads paths as laxly as any, keeps what it is sent by whichever method, and answers as it is told.
#[derive(Clone, Default)]
struct Lax {
    bytes: Arc<Mutex<Vec<u8>>>,
    answer: Arc<Mutex<Option<u16>>>,
}

impl Lax {
    fn app(&self) -> App {
        let lax = self.clone();
        App::answering(move |_, seen| lax.answer(seen))
    }

    fn answer(&self, seen: &Seen) -> Response {
        if user(seen).as_deref() != Some("ann") {
            return reply(403, &[], "not yours");
        }
        let path = seen.uri.path().replace("%2F", "/").replace("//", "/").to_lowercase();
        match (seen.method.as_str(), path.as_str()) {
            ("GET", "/files/7/content") => {
                reply(200, &[("content-type", "application/pdf")], self.bytes())
            }
            ("GET", _) => {
                reply(200, &[("content-type", "application/json")], r#"{"data":{"id":7}}"#)
            }
            ("POST", "/api/files") => {
                self.take(&seen.body);
                reply(201, &[("content-type", "application/json")], r#"{"data":{"id":7}}"#)
            }
            _ => {
                let status = self.answer.lock().unwrap().unwrap_or(204);
                if !(400..500).contains(&status) || status == 408 {
                    self.take(&seen.body);
                }
                reply(status, &[("location", "/files")], "")
            }
        }
    }

    /// Of a form the file, as an app would.
    fn take(&self, body: &[u8]) {
        let start = body.windows(5).position(|five| five == b"%PDF-");
        let body = match (body.starts_with(b"--"), start) {
            (true, Some(start)) => {
                let file = &body[start..];
                &file[..file.windows(4).position(|four| four == b"\r\n--").unwrap()]
            }
            _ => body,
        };
        *self.bytes.lock().unwrap() = body.to_vec();
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn answers(&self, status: u16) {
        *self.answer.lock().unwrap() = Some(status);
    }
}

fn without_source() -> String {
    CONFIG.replace("source = \"GET /files/{id}/content\"\n", "")
}

/// A world whose document 7 has its first version at DWS.
async fn with_first_version(config: &str, form: Form) -> (World, Lax) {
    let lax = Lax::default();
    let world = World::with(config).app(lax.app()).start(form).await;
    let reply = world.post_file_as("ann", "first.pdf", files::pdf("first")).await;
    assert_eq!(reply.status(), 201);
    world.session_in_the_end("ann", "7").await;
    (world, lax)
}

/// What ann's viewer shows in the end, or why it shows nothing.
async fn shown(world: &World) -> Result<Vec<u8>, String> {
    world.shown_to("ann", "7").await
}

/// Waits until ann's viewer shows this version: what ends a doubt goes on after the app's reply.
async fn in_the_end(world: &World, version: &str) {
    let mut last = Ok(Vec::new());
    for _ in 0..200 {
        last = shown(world).await;
        if last == Ok(files::pdf(version)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{version} was not shown in the end: {:?}", last.map(|bytes| bytes.len()));
}

/// Method, path and headers.
type Write = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// New bytes that no rule can take, in every way that an app may take them.
const UNCAPTURED: [Write; 9] = [
    ("PUT", "/api/files/7/content", &[("content-range", "bytes 0-9/100")]),
    ("PUT", "/api/files/7/content", &[("content-encoding", "gzip")]),
    ("PATCH", "/api/files/7/content", &[("tus-resumable", "1.0.0"), ("upload-offset", "0")]),
    ("PATCH", "/api/files/7/content", &[]),
    ("PUT", "//api/files/7/content", &[]),
    ("PUT", "/api/files%2F7/content", &[]),
    ("PUT", "/API/files/7/content/", &[]),
    ("POST", "/api/files/7/content", &[]),
    ("MOVE", "/elsewhere/8", &[("destination", "/api/files/7/content")]),
];

async fn write(
    world: &World,
    (method, path, headers): (&str, &str, &[(&str, &str)]),
    body: Vec<u8>,
) {
    let mut request = world.request_as("ann", method.parse().unwrap(), path).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap();
}

in_both_forms! {
    async fn new_bytes_that_no_rule_could_take_are_shown_from_the_source(form: Form) {
        for (at, case) in UNCAPTURED.into_iter().enumerate() {
            let (world, lax) = with_first_version(CONFIG, form).await;
            let second = files::pdf(&format!("second {at}"));
            write(&world, case, second.clone()).await;
            assert!(lax.bytes() == second, "{case:?}: the app has it");
            assert!(shown(&world).await == Ok(second), "{case:?}");
            assert_eq!(world.session_as("ann", "7").await.0, 200, "{case:?}: settled");
        }
    }

    async fn without_a_source_they_end_the_view_until_the_next_upload(form: Form) {
        for case in UNCAPTURED {
            let (world, _) = with_first_version(&without_source(), form).await;
            write(&world, case, files::pdf("second")).await;
            assert_eq!(shown(&world).await, Err("document_changed".to_owned()), "{case:?}");
            let (status, problem) = world.session_as("ann", "7").await;
            assert_eq!((status, problem["code"].as_str()), (409, Some("document_changed")));
            let third = files::pdf("third");
            write(&world, ("PUT", "/api/files/7/content", &[]), third.clone()).await;
            assert!(shown(&world).await == Ok(third), "{case:?}");
        }
    }

    async fn what_the_source_gives_and_dws_could_not_show_ends_the_view(form: Form) {
        let small = CONFIG.replace("max_size = \"8 MiB\"", "max_size = \"20 KiB\"");
        for second in [Vec::new(), b"no document at all".to_vec(), files::large_pdf("large", 40_000)] {
            let (world, _) = with_first_version(&small, form).await;
            write(&world, ("PUT", "/api/files/7/content", &[]), second).await;
            let shown = shown(&world).await;
            assert!(shown.is_err() || shown == Ok(files::large_pdf("large", 40_000)), "{shown:?}");
            assert!(shown != Ok(files::pdf("first")));
        }
    }

    async fn what_the_app_refuses_changes_nothing_and_needs_no_source(form: Form) {
        for status in [400, 401, 403, 404, 409, 412, 413, 422] {
            let (world, lax) = with_first_version(&without_source(), form).await;
            lax.answers(status);
            write(&world, ("PUT", "/api/files/7/content", &[]), files::pdf("refused")).await;
            write(&world, ("PATCH", "/api/files/7/content", &[]), files::pdf("refused")).await;
            in_the_end(&world, "first").await;
        }
    }

    async fn an_app_that_fails_after_it_kept_the_bytes_is_looked_at(form: Form) {
        for status in [500, 502, 408, 303] {
            let (world, lax) = with_first_version(CONFIG, form).await;
            lax.answers(status);
            let second = files::pdf("second");
            write(&world, ("PUT", "/api/files/7/content", &[]), second.clone()).await;
            let shown = shown(&world).await;
            assert!(shown == Ok(second), "{status}: {:?}", shown.map(|bytes| bytes.len()));
        }
    }

    async fn a_stranger_who_is_sent_away_ends_nobodys_view(form: Form) {
        let (world, _) = with_first_version(&without_source(), form).await;
        for status in [303, 403] {
            world.app.answers(move |_, seen| match (user(seen).as_deref(), seen.method.as_str()) {
                (Some("ann"), _) => reply(200, &[("content-type", "application/json")], "{}"),
                (_, "GET") => reply(status, &[("location", "/login")], ""),
                _ => reply(303, &[("location", "/login")], ""),
            });
            let put = world.request_as("bob", Method::PUT, "/api/files/7/content");
            put.body(files::pdf("bob's")).send().await.unwrap();
            in_the_end(&world, "first").await;
        }
    }

    async fn a_stranger_who_names_a_document_of_his_own_beside_it_ends_nobodys_view(form: Form) {
        let config = format!("{}{BY_BODY}", without_source());
        let (world, _) = with_first_version(&config, form).await;
        world.app.answers(|_, seen| match (user(seen).as_deref(), seen.method.as_str(), seen.uri.path()) {
            (_, "POST", "/api/files") => reply(201, &[], r#"{"data":{"id":8}}"#),
            (Some("ann"), ..) | (_, "GET", "/api/files/8") => {
                reply(200, &[("content-type", "application/json")], "{}")
            }
            (_, "GET", _) => reply(403, &[], ""),
            _ => reply(303, &[("location", "/files")], ""),
        });
        world.post_file_as("bob", "his.pdf", files::pdf("his")).await.bytes().await.unwrap();
        let file = reqwest::multipart::Part::bytes(files::pdf("bob's")).file_name("a.pdf");
        let body = reqwest::multipart::Form::new().text("doc_id", "8").text("doc_id", "7");
        let post = world.request_as("bob", Method::POST, "/replace").multipart(body.part("file", file));
        post.send().await.unwrap().bytes().await.unwrap();
        in_the_end(&world, "first").await;
    }

    async fn a_form_without_a_file_is_an_ordinary_request(form: Form) {
        let config = format!(
            "{}\n[[documents.files.replace]]\nroute = \"POST /api/files/{{id}}/content\"\n\
             file = {{ part = \"file\" }}\n",
            without_source()
        );
        let (world, _) = with_first_version(&config, form).await;
        let rename = reqwest::multipart::Form::new().text("name", "new.pdf");
        let post = world.request_as("ann", Method::POST, "/api/files/7/content").multipart(rename);
        post.send().await.unwrap();
        in_the_end(&world, "first").await;
    }

    async fn what_a_form_may_name_in_some_spelling_is_in_doubt(form: Form) {
        let by_field = format!(
            "{}\n[[documents.files.replace]]\nroute = \"POST /replace\"\nfile = {{ part = \"file\" }}\n\
             id = {{ field = \"doc_id\" }}\naccepted = \"reply.status == 204\"\n",
            without_source()
        );
        let pdf = files::pdf("second");
        let file = || reqwest::multipart::Part::bytes(pdf.clone()).file_name("a.pdf");
        for name in ["doc.id", "doc id", " doc_id", "doc[id", "doc_id[]", "DOC_ID"] {
            let (world, _) = with_first_version(&by_field, form).await;
            let body = reqwest::multipart::Form::new().percent_encode_noop();
            let body = body.text(name, "7").part("file", file());
            let post = world.request_as("ann", Method::POST, "/replace").multipart(body);
            assert_eq!(post.send().await.unwrap().status(), 204);
            assert_eq!(shown(&world).await, Err("document_changed".to_owned()), "{name}");
        }
        let (world, lax) = with_first_version(&by_field, form).await;
        lax.answers(303);
        let body = reqwest::multipart::Form::new().text("doc_id", "7").part("file", file());
        world.request_as("ann", Method::POST, "/replace").multipart(body).send().await.unwrap();
        assert_eq!(shown(&world).await, Err("document_changed".to_owned()), "not accepted by a 303");
    }

    async fn a_deletion_needs_no_body_that_can_be_read(form: Form) {
        for (name, value) in [
            ("tus-resumable", "1.0.0"),
            ("content-range", "bytes 0-0/1"),
            ("content-encoding", "gzip"),
            ("content-type", "multipart/form-data"),
        ] {
            let (world, _) = with_first_version(CONFIG, form).await;
            let delete = world.request_as("ann", Method::DELETE, "/api/files/7").header(name, value);
            assert_eq!(delete.body("{}").send().await.unwrap().status(), 204);
            world.dws.has_documents(0).await;
        }
    }

    async fn an_upload_that_names_a_known_document_and_is_not_captured_ends_its_old_version(form: Form) {
        let (world, _) = with_first_version(&without_source(), form).await;
        let reply = world.post_file_as("ann", "text.txt", b"no document %".to_vec()).await;
        assert_eq!(reply.status(), 201);
        // What follows from an upload is there when its reply has ended.
        reply.bytes().await.unwrap();
        assert_eq!(shown(&world).await, Err("document_changed".to_owned()));
    }
}

/// Both end at the app in an order that Transom can't see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writes_at_once_the_view_shows_the_one_that_the_app_kept() {
    for first_wins in [true, false] {
        let lax = Lax::default();
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let world = World::with(CONFIG).app(lax.app()).start(Form::Layer).await;
        assert_eq!(world.post_file_as("ann", "0.pdf", files::pdf("0")).await.status(), 201);
        world.session_in_the_end("ann", "7").await;
        let (kept, tell) = (lax.clone(), started.clone());
        let wins = files::pdf(if first_wins { "first" } else { "second" });
        let winner = wins.clone();
        world.app.answers(move |_, seen| {
            if seen.method == Method::PUT {
                tell.notify_one();
                *kept.bytes.lock().unwrap() = winner.clone();
                return reply(204, &[], "");
            }
            kept.answer(seen)
        });
        let put = |text: &str| {
            let first = bytes::Bytes::from(files::pdf(text));
            let go = go.clone();
            let body = futures_util::stream::unfold(Some(first), move |bytes| {
                let go = go.clone();
                async move {
                    let bytes = bytes?;
                    go.notified().await;
                    Some((Ok::<_, std::io::Error>(bytes), None))
                }
            });
            let put = world.request_as("ann", Method::PUT, "/api/files/7/content");
            put.body(reqwest::Body::wrap_stream(body)).send()
        };
        let both = async { tokio::join!(put("first"), put("second")) };
        let release = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            go.notify_one();
            started.notified().await;
            go.notify_one();
        };
        let ((one, two), ()) = tokio::join!(both, release);
        assert_eq!(
            (one.unwrap().status(), two.unwrap().status()),
            (204.try_into().unwrap(), 204.try_into().unwrap())
        );
        assert!(shown(&world).await == Ok(wins), "first wins: {first_wins}");
    }
}

/// Rules whose id is only in a request's body.
const BY_BODY: &str = r#"
[[documents.files.replace]]
route = "POST /replace"
file = { part = "file" }
id = { field = "doc_id" }
accepted = "reply.status == 204"
[[documents.files.delete]]
route = "POST /remove"
id = { body_json = "$.id" }
accepted = "reply.status == 204"
"#;

/// New bytes on their way, in each way that a request may name the document: method, path, content type and body.
fn writes() -> [(&'static str, &'static str, &'static str, Vec<u8>); 4] {
    let second = files::pdf("second");
    let id = &b"--B\r\ncontent-disposition: form-data; name=\"doc_id\"\r\n\r\n7\r\n"[..];
    let head = b"--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    let file = [head, &second[..], b"\r\n"].concat();
    let form = "multipart/form-data; boundary=B";
    [
        ("PUT", "/api/files/7/content", "application/pdf", second),
        ("POST", "/replace", form, [id, &file, b"--B--\r\n"].concat()),
        ("POST", "/replace", form, [&file, id, b"--B--\r\n"].concat()),
        ("POST", "/remove", "application/json", br#"{"id":7}"#.to_vec()),
    ]
}

/// The app answers only when it is told to.
async fn interrupted(interrupt: impl AsyncFn(&mut World)) {
    for (config, write) in [CONFIG.to_owned(), without_source()]
        .iter()
        .flat_map(|config| writes().map(|write| (format!("{config}{BY_BODY}"), write)))
    {
        let (method, path, kind, body) = write;
        let (mut world, lax) = with_first_version(&config, Form::Binary).await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            tokens::for_user("ann"),
            body.len()
        );
        let (taken, told) = (Arc::new(Notify::new()), lax.clone());
        let tell = taken.clone();
        world.app.answers(move |_, seen| {
            let answer = told.answer(seen);
            if seen.method != Method::GET {
                tell.notify_one();
                std::thread::sleep(Duration::from_millis(1500));
            }
            answer
        });
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let bytes = [head.as_bytes(), &body].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
        taken.notified().await;
        drop(stream);
        interrupt(&mut world).await;
        tokio::time::sleep(Duration::from_millis(1600)).await;
        match config.contains("source =") && path != "/remove" {
            true => assert!(shown(&world).await == Ok(files::pdf("second")), "{path}"),
            false => assert_eq!(shown(&world).await, Err("document_changed".to_owned()), "{path}"),
        }
    }
}

/// The look comes before the app has written what it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_while_an_abandoned_write_is_at_work_settles_nothing() {
    let (world, lax) = with_first_version(CONFIG, Form::Binary).await;
    let (second, go) = (files::pdf("second"), Arc::new(Mutex::new(false)));
    let (told, wait, bytes) = (lax.clone(), go.clone(), second.clone());
    world.app.answers(move |_, seen| {
        if seen.method == Method::PUT {
            let (told, wait, bytes) = (told.clone(), wait.clone(), bytes.clone());
            std::thread::spawn(move || {
                while !*wait.lock().unwrap() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                *told.bytes.lock().unwrap() = bytes;
            });
            // The client does not wait for the reply.
            let never = futures_util::stream::pending::<std::io::Result<bytes::Bytes>>();
            return reply(200, &[], axum::body::Body::from_stream(never));
        }
        told.answer(seen)
    });
    let put = world.request_as("ann", Method::PUT, "/api/files/7/content").body(second.clone());
    let left = tokio::time::timeout(Duration::from_millis(500), async {
        put.send().await.unwrap().bytes().await.unwrap()
    });
    assert!(left.await.is_err());
    assert!(shown(&world).await == Ok(files::pdf("first")), "the app still has it");
    *go.lock().unwrap() = true;
    while lax.bytes() != second {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(shown(&world).await == Ok(second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_after_it_sent_new_bytes_leaves_no_old_version_behind() {
    interrupted(async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_before_the_apps_reply_leaves_no_old_version_behind() {
    interrupted(async |world| {
        world.kill().await;
        world.start_again().await;
    })
    .await;
}
