//! Headers that only Transom may set: nobody else's reach the app, by whichever way they come.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{CONFIG, Form, World, tokens};

async fn world(form: Form) -> World {
    let view = "[[documents.files.view]]\nroute = \"POST /request/{id}\"\nsession = { request_header = \"X-Session-For-App\" }\n";
    World::with(&format!("{CONFIG}\n{view}")).start(form).await
}

const FORGED: [&str; 5] = [
    "x-session-for-app",
    "X-Session-For-App",
    "X_Session_For_App",
    "x.session.for.app",
    "X-SESSION_for.app",
];
const LANES: [&str; 4] = ["/other", "/request/1", "/api/files", "/.transom/session/files/1"];

fn assert_clean(seen: &[crate::support::app::Seen], what: &str) {
    for seen in seen {
        let trailers = seen.trailers.clone().unwrap_or_default();
        for (name, value) in seen.headers.iter().chain(&trailers) {
            assert!(!value.as_bytes().starts_with(b"forged"), "{what}: {name} came through");
        }
    }
}

in_both_forms! {
    async fn in_headers_of_every_spelling_and_number(form: Form) {
        let world = world(form).await;
        for path in LANES {
            for name in FORGED {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\n{name}: forged\r\n{name}: forged again\r\n\
                     connection: {name}, close\r\nconnection: x-session-for-app\r\ncontent-length: 0\r\n\r\n",
                    tokens::for_user("bob")
                );
                world.raw(head).await;
                assert_clean(&world.app.seen(), &format!("{name} to {path}"));
            }
        }
        assert!(world.app.seen().len() >= 10, "most of them were the app's to answer");
    }

    async fn in_trailers_of_chunked_bodies(form: Form) {
        let world = world(form).await;
        for path in LANES {
            for name in FORGED {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\nconnection: close\r\nte: trailers\r\n\
                     trailer: {name}, x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{name}: forged\r\nx-sum: 7\r\n\r\n",
                    tokens::for_user("bob")
                );
                world.raw(head).await;
                assert_clean(&world.app.seen(), &format!("{name} to {path}"));
            }
        }
        let trailed = world.app.last(&Method::POST, "/other").trailers.expect("other trailers pass");
        assert_eq!(trailed["x-sum"], "7");
    }
}

/// CVE-2026-88004: Traefik cleaned the headers of requests, and not their trailers, which Go's and other servers hand to
/// the app, or fold into its headers. A forged session would have come in behind the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_88004_in_trailers_of_http2() {
    let world = world(Form::Binary).await;
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for path in LANES {
        let mut trailers = HeaderMap::new();
        for name in
            ["x-session-for-app", "x_session_for_app", "x-forwarded-for", "x_forwarded_user"]
        {
            trailers.insert(name, HeaderValue::from_static("forged"));
        }
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let frames = [Ok(Frame::data(Bytes::from("abc"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::post(format!("http://app{path}"))
            .header("authorization", format!("Bearer {}", tokens::for_user("bob")))
            .header("x_session.for_app", "forged")
            .header(
                "trailer",
                "x-session-for-app, x_session_for_app, x-forwarded-for, x_forwarded_user, x-sum",
            )
            .header("te", "trailers")
            .body(BodyExt::boxed_unsync(BodyExt::map_err(
                body,
                |never: std::convert::Infallible| match never {},
            )))
            .unwrap();
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_clean(&world.app.seen(), path);
    }
    let trailed = world.app.last(&Method::POST, "/other").trailers.expect("other trailers pass");
    assert_eq!(trailed["x-sum"], "7");
}
