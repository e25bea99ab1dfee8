//! A matrix: how a view delivers, where its id is, what the app answers to it and to the probe, with and without a
//! token. A session is in exactly the cells where the app said yes to this caller.

use http::Method;
use serde_json::Value;

use crate::support::app::{self, Seen};
use crate::support::{Form, World, files};

/// What the app answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Document,
    /// A login page with 200 is one.
    Page,
    Status(u16),
}

const ANSWERS: [Says; 14] = [
    Says::Document,
    Says::Page,
    Says::Status(301),
    Says::Status(302),
    Says::Status(303),
    Says::Status(307),
    Says::Status(401),
    Says::Status(403),
    Says::Status(404),
    Says::Status(410),
    Says::Status(429),
    Says::Status(500),
    Says::Status(503),
    Says::Status(504),
];

impl Says {
    fn reply(self, path: &str) -> axum::response::Response {
        let status = |status: u16| app::reply(status, &[("location", "/login")], "");
        match self {
            Self::Document if path.ends_with("content") => {
                app::reply(200, &[("content-type", "application/pdf")], files::pdf("a"))
            }
            Self::Document => {
                app::reply(200, &[("content-type", "application/json")], r#"{"data":{}}"#)
            }
            Self::Page => {
                app::reply(200, &[("content-type", "text/html; charset=utf-8")], "<form>")
            }
            Self::Status(code) => status(code),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Json,
    ResponseHeader,
    Cookie,
    RequestHeader,
    Page,
    Endpoint,
}

const DELIVERIES: [By; 6] =
    [By::Json, By::ResponseHeader, By::Cookie, By::RequestHeader, By::Page, By::Endpoint];

/// Each delivery has a route of its own, with the id in the path or in the query.
fn config(with_identity: bool) -> String {
    let identity = r#"
[[identity]]
name = "app"
tokens = [{ bearer = true }]
algorithms = ["HS256"]
key = { secret = "a secret of thirty-two bytes or so" }
issuer = "my-app"
audience = ["my-app"]
"#;
    let mut config = if with_identity { identity.to_owned() } else { String::new() };
    config += "[documents.files]\nprobe = \"GET /probe/{id}\"\n\
        upload = [{ route = \"POST /api/files\", file = { part = \"file\" }, id = { json = \"$.data.id\" } }]\n";
    let mut view = |route: &str, session: &str| {
        config += &format!(
            "[[documents.files.view]]\nroute = \"GET {route}\"\nsession = {{ {session} }}\n"
        );
    };
    for (name, session) in [
        ("json", "json = \"/data/s\""),
        ("header", "response_header = \"x-s\""),
        ("cookie", "cookie = \"s\""),
        ("inward", "request_header = \"x-s\""),
    ] {
        view(&format!("/{name}/{{id}}"), session);
        view(&format!("/{name}.php?id={{id}}"), session);
    }
    view("/page/{id}/content", "page = true");
    view("/page/content?id={id}", "page = true");
    config
}

fn target(by: By, in_path: bool) -> String {
    let name = match by {
        By::Json => "json",
        By::ResponseHeader => "header",
        By::Cookie => "cookie",
        By::RequestHeader => "inward",
        By::Page if in_path => return "/page/1/content".to_owned(),
        By::Page => return "/page/content?id=1".to_owned(),
        By::Endpoint => return "/.transom/session/files/1".to_owned(),
    };
    if in_path { format!("/{name}/1") } else { format!("/{name}.php?id=1") }
}

/// What the rules of the matrix say.
fn expected(by: By, in_path: bool, token: bool, own: Says, probe: Says) -> bool {
    let probed = probe == Says::Document;
    if matches!(by, By::RequestHeader | By::Endpoint) {
        return probed;
    }
    let carries = match by {
        By::Json | By::Page => own == Says::Document,
        _ => matches!(own, Says::Document | Says::Page),
    };
    let proves = in_path && (own == Says::Document || token);
    carries && (proves || probed)
}

async fn has_session(world: &World, by: By, in_path: bool, token: bool) -> bool {
    let target = target(by, in_path);
    let request = match token {
        true => world.request_as("ann", Method::GET, &target),
        false => world.request(Method::GET, &target),
    };
    let request = match by {
        By::Page => request.header("accept", "text/html"),
        _ => request,
    };
    let reply = request.send().await.unwrap();
    let headers = reply.headers().clone();
    let text = reply.text().await.unwrap_or_default();
    match by {
        By::Json => text.contains("\"s\":\""),
        By::ResponseHeader => headers.contains_key("x-s"),
        By::Cookie => headers.get_all("set-cookie").iter().any(|c| c.as_bytes().starts_with(b"s=")),
        By::RequestHeader => {
            let path = target.split('?').next().unwrap();
            world.app.last(&Method::GET, path).headers.contains_key("x-s")
        }
        By::Page => text.contains("nutrient-viewer.js"),
        By::Endpoint => {
            serde_json::from_str::<Value>(&text).is_ok_and(|json| json["session"].is_string())
        }
    }
}

async fn matrix(form: Form, token: bool) {
    let never = "remember_decisions = \"0s\"";
    let world = World::with(&config(token)).app_settings(never).start(form).await;
    let upload = |_: &app::App, _: &Seen| app::reply(201, &[], r#"{"data":{"id":1}}"#);
    world.app.answers(upload);
    world.post_file_as("ann", "a.pdf", files::pdf("a")).await.bytes().await.unwrap();
    world.dws.has_documents(1).await;
    let mut cells = 0;
    for own in ANSWERS {
        for probe in
            [Says::Document, Says::Page, Says::Status(302), Says::Status(404), Says::Status(500)]
        {
            world.app.answers(move |_, seen| match seen.uri.path().starts_with("/probe/") {
                true => probe.reply(seen.uri.path()),
                false => own.reply(seen.uri.path()),
            });
            for (by, in_path) in DELIVERIES.into_iter().flat_map(|by| [(by, true), (by, false)]) {
                let given = has_session(&world, by, in_path, token).await;
                let cell = format!(
                    "{by:?}, id in path: {in_path}, token: {token}, own {own:?}, probe {probe:?}"
                );
                assert_eq!(given, expected(by, in_path, token, own, probe), "{cell}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 14 * 5 * 12);
}

in_both_forms! {
    async fn a_session_is_in_exactly_the_right_cells_with_a_token(form: Form) {
        matrix(form, true).await;
    }

    async fn a_session_is_in_exactly_the_right_cells_without_identities(form: Form) {
        matrix(form, false).await;
    }
}

/// Uploads, replacements and deletions: what reaches DWS follows from the reply, and from the look where that is due.
async fn writes(form: Form) {
    let config = r#"
[documents.files]
source = "GET /files/{id}/content"
probe = "GET /probe/{id}"
[[documents.files.upload]]
route = "POST /api/files"
file = { part = "file" }
id = [{ json = "$.data.id" }, { header = "location", pattern = "/files/{id}" }]
[[documents.files.delete]]
route = "DELETE /files/{id}"
[[documents.files.delete]]
route = "POST /files/{id}/delete"
accepted = "reply.status in [200, 204, 302, 303]"
"#;
    for (status, content_type, source, captured) in [
        (201, "application/json", "gone", true),
        (201, "application/json", "same", true),
        (200, "text/html", "same", true),
        (200, "text/html", "other", false),
        (200, "text/html", "gone", false),
        (303, "", "same", true),
        (303, "", "other", false),
        (303, "", "gone", false),
        (400, "application/json", "same", false),
        (401, "application/json", "same", false),
        (403, "application/json", "same", false),
        (409, "application/json", "same", false),
        (422, "application/json", "same", false),
        (500, "application/json", "same", false),
    ] {
        let world = World::with(config).start(form).await;
        world.app.answers(move |_, seen| match (seen.method.as_str(), source) {
            // HTML that names the document, as no JSON does.
            ("POST", _) if status == 200 => app::reply(
                200,
                &[("content-type", content_type), ("location", "/files/1")],
                "<p>Saved</p>",
            ),
            ("POST", _) => app::reply(
                status,
                &[("content-type", content_type), ("location", "/files/1")],
                if status == 303 { "" } else { r#"{"data":{"id":1}}"# },
            ),
            ("GET", "same") => {
                app::reply(200, &[("content-type", "application/pdf")], files::pdf("a"))
            }
            ("GET", "other") => {
                app::reply(200, &[("content-type", "application/pdf")], files::pdf("b"))
            }
            _ => app::reply(404, &[], ""),
        });
        let case = format!("{status} {content_type}, the source has {source}");
        world.post_file_as("ann", "a.pdf", files::pdf("a")).await.bytes().await.unwrap();
        match captured {
            true => world.counted("capture", "captured").await,
            false => world.counted("capture", "not_accepted").await,
        }
        assert_eq!(world.metrics().await.contains("reason=\"captured\""), captured, "{case}");
    }
    for (method, status, content_type, gone, deleted) in [
        ("DELETE", 204, "", false, true),
        ("DELETE", 200, "application/json", false, true),
        ("DELETE", 200, "text/html", true, true),
        ("DELETE", 200, "text/html", false, false),
        ("DELETE", 303, "", true, false),
        ("DELETE", 404, "", true, false),
        ("DELETE", 403, "", true, false),
        ("DELETE", 500, "", true, false),
        ("POST", 204, "", false, true),
        ("POST", 302, "", true, true),
        ("POST", 303, "", false, false),
        ("POST", 200, "text/html", true, true),
        ("POST", 200, "text/html", false, false),
        ("POST", 403, "", true, false),
    ] {
        let world = World::with(config).start(form).await;
        let upload = |_: &app::App, _: &Seen| app::reply(201, &[], r#"{"data":{"id":1}}"#);
        world.app.answers(upload);
        world.post_file_as("ann", "a.pdf", files::pdf("a")).await.bytes().await.unwrap();
        world.dws.has_documents(1).await;
        let asked = std::sync::atomic::AtomicBool::new(false);
        world.app.answers(move |_, seen| match seen.method.as_str() {
            // There before the deletion, and afterwards as the case says.
            "GET" if asked.load(std::sync::atomic::Ordering::Relaxed) && gone => {
                app::reply(404, &[], "")
            }
            "GET" => app::reply(200, &[("content-type", "application/json")], "{}"),
            _ => {
                asked.store(true, std::sync::atomic::Ordering::Relaxed);
                app::reply(status, &[("content-type", content_type), ("location", "/files")], "")
            }
        });
        let path = if method == "POST" { "/files/1/delete" } else { "/files/1" };
        let delete = world.request_as("ann", method.parse().unwrap(), path);
        delete.send().await.unwrap();
        let case = format!("{method} {status} {content_type}, gone: {gone}");
        if deleted {
            world.dws.has_documents(0).await;
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            assert_eq!(world.dws.documents().await.len(), 1, "{case}");
        }
    }
}

in_both_forms! {
    async fn what_reaches_dws_follows_from_what_the_app_did(form: Form) {
        writes(form).await;
    }
}
