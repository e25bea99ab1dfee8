//! What browsers and shared caches may keep, and what they are asked anew for.

use std::io::Write as _;

use http::{HeaderMap, Method};

use crate::support::app::reply;
use crate::support::{CONFIG, Form, World, tokens};

/// The usual rules with another way of delivery for `GET /api/files/{id}`.
fn delivered_by(session: &str) -> String {
    CONFIG.replace(
        "session = [{ json = \"/data/viewer_session\" }, { response_header = \"X-Viewer-Session\" }]",
        session,
    )
}

/// All that ever told a cache to keep something.
const PUBLIC: &[(&str, &str)] = &[
    ("cache-control", "public, max-age=600, s-maxage=600"),
    ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ("cdn-cache-control", "max-age=600"),
    ("cloudflare-cdn-cache-control", "max-age=600"),
    ("surrogate-control", "max-age=600"),
    ("edge-control", "cache-maxage=600s"),
    ("x-accel-expires", "600"),
];

fn is_stored_by_nobody(headers: &HeaderMap) -> bool {
    let others = PUBLIC.iter().skip(1).any(|(name, _)| headers.contains_key(*name));
    headers.get_all("cache-control").iter().eq(["private, no-store"]) && !others
}

in_both_forms! {
    async fn no_reply_made_with_a_session_may_be_stored(form: Form) {
        let world = World::with(&delivered_by("session = { request_header = \"X-Viewer-Session\" }")).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        for status in [200, 201, 204, 206, 302, 304, 404, 500] {
            world.app.answers(move |_, seen| match seen.uri.path().contains("/api/") && seen.headers.contains_key("x-viewer-session") {
                true => reply(status, PUBLIC, ""),
                false => reply(200, PUBLIC, ""),
            });
            let answer = world.get_as("ann", &path).await;
            assert_eq!(answer.status(), status);
            assert!(is_stored_by_nobody(answer.headers()), "{status}: {:?}", answer.headers());
        }
        let stranger = world.request(Method::GET, &path).send().await.unwrap();
        for (name, value) in PUBLIC {
            assert_eq!(stranger.headers()[*name], value, "without a session it is the app's own");
        }
    }

    async fn nor_may_one_that_carries_it(form: Form) {
        for session in ["{ json = \"/data/s\" }", "{ response_header = \"X-S\" }", "{ cookie = \"s\" }"] {
            let world = World::with(&delivered_by(&format!("session = {session}"))).start(form).await;
            let id = world.upload_as("ann", "a.pdf").await;
            world.session_in_the_end("ann", &id).await;
            world.app.answers(|_, _| reply(200, PUBLIC, "{\"data\":{}}"));
            let answer = world.get_as("ann", &format!("/api/files/{id}")).await;
            assert!(is_stored_by_nobody(answer.headers()), "{session}: {:?}", answer.headers());
            for path in [format!("/.transom/session/files/{id}"), "/.transom/nothing".to_owned(), "/.transom/session/files/99".to_owned()] {
                assert_eq!(world.get_as("ann", &path).await.headers()["cache-control"], "no-store", "{path}");
            }
        }
    }

    async fn what_the_client_holds_hides_no_session(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.app.answers(|_, seen| {
            let (status, body) = match () {
                () if seen.headers.contains_key("if-none-match") || seen.headers.contains_key("if-modified-since") => (304, ""),
                () if seen.headers.contains_key("range") => (206, "%PDF"),
                () if seen.uri.path().contains("/api/") => (200, "{\"data\":{}}"),
                () => (200, "%PDF-1.7"),
            };
            let kind = if seen.uri.path().contains("/api/") { "application/json" } else { "application/pdf" };
            let date = "Thu, 01 Jan 2026 00:00:00 GMT";
            reply(status, &[("content-type", kind), ("etag", "\"v3\""), ("last-modified", date), ("accept-ranges", "bytes")], body)
        });
        let (view, content) = (format!("/api/files/{id}"), format!("/files/{id}/content"));
        let held = |path: &str| {
            world.request_as("ann", Method::GET, path).header("if-none-match", "\"v3\"").header("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")
        };
        for conditional in [
            held(&view),
            held(&view).header("range", "bytes=0-3").header("if-range", "\"v3\""),
            world.request_as("ann", Method::GET, &view).header("range", "bytes=0-3"),
        ] {
            let answer = conditional.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let headers = answer.headers().clone();
            assert_eq!((&headers["etag"], &headers["cache-control"]), (&"\"v3\"".parse().unwrap(), &"private, no-store".parse().unwrap()));
            assert_eq!(headers["last-modified"], "Thu, 01 Jan 2026 00:00:00 GMT");
            assert!(!headers.contains_key("accept-ranges"));
            let text = answer.text().await.unwrap();
            assert!(text.contains("viewer_session"), "{text}");
            assert_eq!(headers["content-length"], text.len().to_string());
        }
        // What it saves with reaches the app as the app wrote it.
        world.request_as("ann", Method::PUT, &view).header("if-match", "\"v3\"").send().await.unwrap();
        assert_eq!(world.app.last(&Method::PUT, &view).headers["if-match"], "\"v3\"");

        let page = held(&content).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document").send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("nutrient-viewer.js"));
        // The bytes are the app's, with all that saves sending them again.
        assert_eq!(held(&content).send().await.unwrap().status(), 304);
        let part = world.request_as("ann", Method::GET, &content).header("range", "bytes=0-3");
        assert_eq!(part.send().await.unwrap().status(), 206);

        // Who gets no session has what there was before.
        let stranger = world.request(Method::GET, &view).header("if-none-match", "\"v3\"");
        assert_eq!(stranger.send().await.unwrap().status(), 304);
        assert_eq!(world.app.last(&Method::GET, &view).headers["if-none-match"], "\"v3\"");
    }

    async fn who_can_get_no_session_may_hold_the_reply(form: Form) {
        let config = delivered_by("session = { json = \"/data/s\" }\nallow = \"claims.role != 'guest'\"").replace("source = \"GET /files/{id}/content\"\n", "");
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.app.answers(|_, seen| match seen.headers.contains_key("if-none-match") {
            true => reply(304, &[("etag", "\"v3\"")], ""),
            false => reply(200, &[("etag", "\"v3\"")], "{\"data\":{}}"),
        });
        let guest = tokens::with("ann", &serde_json::json!({ "role": "guest" }));
        for (token, path, status) in [
            (&guest, format!("/api/files/{id}"), 304),
            (&tokens::for_user("ann"), format!("/api/files/{id}"), 200),
            // Nothing that Transom has ever seen, and nothing says where it would be.
            (&tokens::for_user("ann"), "/api/files/4711".to_owned(), 304),
        ] {
            let held = world.request(Method::GET, &path).bearer_auth(token).header("if-none-match", "\"v3\"");
            assert_eq!(held.send().await.unwrap().status(), status, "{path}");
        }
    }

    async fn a_session_in_the_head_leaves_parts_of_the_body_alone(form: Form) {
        for session in ["{ response_header = \"X-S\" }", "{ request_header = \"X-S\" }"] {
            let world = World::with(&delivered_by(&format!("session = {session}"))).start(form).await;
            let id = world.upload_as("ann", "a.pdf").await;
            world.session_in_the_end("ann", &id).await;
            let path = format!("/api/files/{id}");
            let request = world.request_as("ann", Method::GET, &path).header("range", "bytes=0-3").header("if-range", "\"v3\"");
            request.header("if-none-match", "\"v2\"").header("accept-encoding", "br;q=0.7").send().await.unwrap();
            let seen = world.app.last(&Method::GET, &path).headers;
            assert_eq!((&seen["range"], &seen["if-range"]), (&"bytes=0-3".parse().unwrap(), &"\"v3\"".parse().unwrap()));
            assert!(!seen.contains_key("if-none-match"), "{session}");
            assert_eq!(seen["accept-encoding"], "br;q=0.7", "nobody reads the body");
        }
    }

    async fn a_reply_that_lacks_its_session_for_now_is_asked_for_again(form: Form) {
        let world = World::usual().start(form).await;
        world.dws.fault("upload", serde_json::json!({ "fault": "status", "status": 503, "retry_after": 1 })).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.app.answers(|_, seen| {
            let kind = if seen.uri.path().contains("/api/") { "application/json" } else { "application/pdf" };
            reply(200, &[PUBLIC, &[("content-type", kind)]].concat(), "{\"data\":{}}")
        });
        let content = format!("/files/{id}/content");
        let view = world.get_as("ann", &format!("/api/files/{id}")).await;
        let visit = world.request_as("ann", Method::GET, &content).header("accept", "text/html").send().await.unwrap();
        for reply in [view, visit] {
            assert_eq!(reply.headers()["cache-control"], "private, no-cache");
            assert!(!reply.headers().contains_key("x-accel-expires"));
            assert_eq!(reply.text().await.unwrap(), "{\"data\":{}}");
        }
        let bytes = world.get_as("ann", &content).await;
        assert_eq!(bytes.headers()["cache-control"], PUBLIC[0].1);
    }

    async fn one_address_for_bytes_and_a_page_says_so(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/files/{id}/content");
        let visit = |user: &str, path: &str| world.request_as(user, Method::GET, path).header("accept", "text/html");
        let bytes = |user: &str, path: &str| world.request_as(user, Method::GET, path);
        for (what, request) in [
            ("page", visit("ann", &path)),
            ("bytes", bytes("ann", &path)),
            ("download", visit("ann", &format!("{path}?download"))),
            ("part", bytes("ann", &path).header("range", "bytes=0-3")),
            ("refused page", visit("bob", &path)),
            ("refused bytes", bytes("bob", &path)),
            ("stranger", world.request(Method::GET, &path)),
            ("unknown", visit("ann", "/files/4711/content")),
        ] {
            let vary: Vec<_> = request.send().await.unwrap().headers().get_all("vary").iter().cloned().collect();
            assert_eq!(vary, ["Sec-Fetch-Mode, Sec-Fetch-Dest, Accept"], "{what}");
        }
        for (apps, expected) in [
            ("Accept-Encoding, accept", "Accept-Encoding, accept, Sec-Fetch-Mode, Sec-Fetch-Dest"),
            ("*", "*"),
        ] {
            world.app.answers(move |_, _| reply(304, &[("vary", apps)], ""));
            assert_eq!(bytes("ann", &path).send().await.unwrap().headers()["vary"], expected);
        }
        assert!(!world.get_as("ann", &format!("/api/files/{id}")).await.headers().contains_key("sec-fetch-mode"));
    }

    async fn a_reply_that_is_compressed_all_the_same_gets_its_session(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(b"{\"data\":{ \"n\":1.50 }}").unwrap();
        let gzip = gzip.finish().unwrap();
        let whole = gzip.clone();
        let headers = &[("content-encoding", "gzip"), ("vary", "Accept-Encoding"), ("etag", "\"v3-gzip\"")];
        world.app.answers(move |_, _| reply(200, headers, whole.clone()));
        let answer = world.get_as("ann", &format!("/api/files/{id}")).await;
        let headers = answer.headers().clone();
        assert!(!headers.contains_key("content-encoding"));
        assert_eq!((&headers["vary"], &headers["etag"]), (&"Accept-Encoding".parse().unwrap(), &"\"v3-gzip\"".parse().unwrap()));
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("{\"data\":{\"viewer_session\":\"ey") && text.ends_with(", \"n\":1.50 }}"), "{text}");
        assert_eq!(headers["content-length"], text.len().to_string());

        // What can't be read is what the app sent.
        let broken = gzip[..gzip.len() - 9].to_vec();
        let sent = broken.clone();
        world.app.answers(move |_, _| reply(200, &[("content-encoding", "gzip")], sent.clone()));
        let answer = world.get_as("ann", &format!("/api/files/{id}")).await;
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        assert!(answer.bytes().await.unwrap() == broken);
        world.counted("session", "reply_encoded").await;
    }

    async fn the_session_may_be_in_several_places_of_the_json(form: Form) {
        let rules = "session = [{ json = \"/a\" }, { json = \"/nowhere/x\" }, { json = \"/list/0/b\" }]";
        let world = World::with(&delivered_by(rules)).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let token = world.session_in_the_end("ann", &id).await["session"].as_str().unwrap().to_owned();
        world.app.answers(|_, _| reply(200, &[], ")]}',\n{ \"list\": [{}], \"n\": 1e2 }"));
        let text = world.get_as("ann", &format!("/api/files/{id}")).await.text().await.unwrap();
        assert_eq!(text, format!(")]}}',\n{{\"a\":\"{token}\", \"list\": [{{\"b\":\"{token}\"}}], \"n\": 1e2 }}"));
    }
}
