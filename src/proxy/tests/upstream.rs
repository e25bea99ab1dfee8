//! What goes over the wire, on both sides of the forwarder.
#![allow(clippy::unwrap_used)]

use crate::config::AppConfig;
use crate::proxy::testing::{App, PATIENT, Peer, Proxy};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;

/// An app, a proxy before it, a client connected to that.
pub(super) async fn chain() -> (App, Proxy, Peer) {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let client = proxy.connect().await;
    (app, proxy, client)
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = |line: &'a str| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name));
    head.lines().find_map(line).map(|(_, value)| value)
}

#[tokio::test]
async fn a_length_stays_a_length() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say("POST /a%2Fb//c?x=%20&y HTTP/1.1\r\nHost: docs.example\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    assert!(head.starts_with("POST /a%2Fb//c?x=%20&y HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "host"), Some("docs.example"));
    assert_eq!(header(&head, "content-length"), Some("5"));
    assert_eq!(header(&head, "transfer-encoding"), None);
    at_app.hear("hello").await;

    at_app.say("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    let head = client.hear("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    assert_eq!(header(&head, "content-length"), Some("2"));
    assert_eq!(header(&head, "transfer-encoding"), None);
    client.hear("ok").await;
}

#[tokio::test]
async fn chunked_stays_chunked_even_where_a_body_is_unusual() {
    for method in ["POST", "GET", "DELETE"] {
        let (app, _proxy, mut client) = chain().await;
        client
            .say(&format!(
                "{method} / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\n\r\n"
            ))
            .await;
        let mut at_app = app.accept().await;
        let head = at_app.hear("\r\n\r\n").await;
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"), "{method}");
        assert_eq!(header(&head, "content-length"), None, "{method}");
        at_app.hear("5\r\nhello\r\n0\r\n\r\n").await;

        at_app
            .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
        let head = client.hear("\r\n\r\n").await;
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"), "{method}");
        client.hear("2\r\nok\r\n0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn no_body_gets_no_framing() {
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let (app, _proxy, mut client) = chain().await;
        client.say(&format!("{method} / HTTP/1.1\r\nHost: d\r\n\r\n")).await;
        let head = app.accept().await.hear("\r\n\r\n").await;
        assert_eq!(header(&head, "transfer-encoding"), None, "{method}");
        assert_eq!(header(&head, "content-length"), None, "{method}");
    }
}

#[tokio::test]
async fn a_reply_to_head_keeps_its_length() {
    let (app, _proxy, mut client) = chain().await;
    client.say("HEAD / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    assert_eq!(header(&client.hear("\r\n\r\n").await, "content-length"), Some("1234"));
}

#[tokio::test]
async fn bodies_are_not_held_back() {
    let (app, _proxy, mut client) = chain().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nfirst").await;
    let mut at_app = app.accept().await;
    at_app.hear("first").await;
    client.say("later").await;
    at_app.hear("later").await;

    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
    client.hear("first").await;
    at_app.say("later").await;
    client.hear("later").await;
}

#[tokio::test]
async fn headers_of_one_hop_end_here() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say(
            "GET / HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, X-One\r\nConnection: X-Two\r\n\
             X-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nKeep-Alive: 5\r\nTE: gzip\r\n\
             Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\
             X-Forwarded-For: 10.1.1.1\r\nX_Forwarded_Host: evil.example\r\n\r\n",
        )
        .await;
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    for gone in [
        "connection",
        "x-one",
        "x-two",
        "keep-alive",
        "te",
        "proxy-connection",
        "upgrade",
        "x_forwarded_host",
    ] {
        assert_eq!(header(&head, gone), None, "{gone} in {head}");
    }
    assert_eq!(header(&head, "x-three"), Some("3"));
    assert_eq!(header(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&head, "x-forwarded-host"), Some("d"));
    assert_eq!(header(&head, "forwarded"), Some("for=127.0.0.1;host=\"d\";proto=http"));
    assert_eq!(header(&head, "x-request-id").map(str::len), Some(32));

    at_app
        .say(
            "HTTP/1.1 200 OK\r\nConnection: X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
             X-Outer: 2\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    let head = client.hear("\r\n\r\n").await;
    assert_eq!(header(&head, "x-inner"), None);
    assert_eq!(header(&head, "keep-alive"), None);
    assert_eq!(header(&head, "x-outer"), Some("2"));
}

#[tokio::test]
async fn what_transom_writes_can_not_be_named_away() {
    let app = App::start().await;
    let config = AppConfig { via: true, ..AppConfig::at(app.url().parse().unwrap()) };
    let proxy = Proxy::around(&config, PATIENT, |entrance| entrance).await;
    let mut client = proxy.connect().await;
    for (name, written) in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "d"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", "for=127.0.0.1;host=\"d\";proto=http"),
        ("X-Request-Id", "7"),
        ("Via", "1.1 transom"),
        ("Host", "d"),
    ] {
        let named = format!(
            "GET / HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, {name}\r\nX-Request-Id: 7\r\n\r\n"
        );
        client.say(&named).await;
        let mut at_app = app.accept().await;
        let head = at_app.hear("\r\n\r\n").await;
        assert_eq!(header(&head, &name.to_ascii_lowercase()), Some(written), "{head}");
        assert_eq!(header(&head, "connection"), None, "{head}");
        let reply = format!(
            "HTTP/1.1 200 OK\r\nConnection: close, Date, {name}\r\n{name}: inner\r\n\
             Content-Length: 0\r\n\r\n"
        );
        at_app.say(&reply).await;
        let head = client.hear("\r\n\r\n").await;
        assert_eq!(header(&head, "connection"), None, "{head}");
        assert!(header(&head, "date").is_some(), "{head}");
    }
}

#[tokio::test]
async fn the_app_s_address_is_not_shown() {
    let (app, _proxy, mut client) = chain().await;
    client.say("GET / HTTP/1.1\r\nHost: docs.example\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    let url = app.url();
    at_app
        .say(&format!(
            "HTTP/1.1 302 Found\r\nLocation: {url}/login?next=%2F\r\n\
             Set-Cookie: a=b; Domain=127.0.0.1; Path=/\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    let head = client.hear("\r\n\r\n").await;
    assert_eq!(header(&head, "location"), Some("/login?next=%2F"));
    assert_eq!(header(&head, "set-cookie"), Some("a=b; Path=/"));
}

#[tokio::test]
async fn a_prefix_comes_before_every_path() {
    let app = App::start().await;
    let proxy = Proxy::start(&format!("{}/base", app.url()), PATIENT).await;
    for (asked, at_app) in [
        ("GET /x%20y?z", "GET /base/x%20y?z HTTP/1.1\r\n"),
        ("GET /?z", "GET /base/?z HTTP/1.1\r\n"),
        ("GET http://d/x", "GET /base/x HTTP/1.1\r\n"),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\n"),
    ] {
        let mut client = proxy.connect().await;
        client.say(&format!("{asked} HTTP/1.1\r\nHost: d\r\n\r\n")).await;
        let head = app.accept().await.hear("\r\n").await;
        assert_eq!(head, at_app);
    }
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let (app, _proxy, mut client) = chain().await;
    client.say("GET http://docs.example:80/x HTTP/1.1\r\nHost: docs.example\r\n\r\n").await;
    let head = app.accept().await.hear("\r\n\r\n").await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "host"), Some("docs.example:80"));
    assert_eq!(header(&head, "x-forwarded-host"), Some("docs.example:80"));
}

#[tokio::test]
async fn what_the_app_could_read_differently_is_refused() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    for (request, status) in [
        ("GET / HTTP/1.1\nHost: d\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nHost: d\r\nHost: d\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET http://d/ HTTP/1.1\r\nHost: e\r\n\r\n", 400),
        ("GET d HTTP/1.1\r\nHost: d\r\n\r\n", 400),
    ] {
        let mut client = proxy.connect().await;
        client.say(request).await;
        let head = client.hear("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {head}");
    }
    let mut client = proxy.connect().await;
    client.say("GET /first HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(app.accept().await.hear("\r\n").await, "GET /first HTTP/1.1\r\n");
}

#[tokio::test]
async fn a_target_with_a_fragment_never_comes_to_the_app() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    for head in [
        "DELETE /folder/#x HTTP/1.1\r\nHost: d\r\n\r\n",
        "DELETE /folder/# HTTP/1.1\r\nHost: d\r\n\r\n",
        "DELETE /folder/?a=b#c HTTP/1.0\r\nHost: d\r\n\r\n",
        "DELETE http://d/folder/#x HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        for size in [1, 1000] {
            let mut client = proxy.connect().await;
            client.0.set_nodelay(true).unwrap();
            for piece in head.as_bytes().chunks(size) {
                client.say(std::str::from_utf8(piece).unwrap()).await;
            }
            let reply = client.hear_all().await;
            assert!(
                reply.starts_with("HTTP/1.") && reply.contains(" 400 Bad Request\r\n"),
                "{reply}"
            );
            assert!(reply.contains("\"code\":\"target_unclear\""), "{reply}");
        }
    }
    let mut client = proxy.connect().await;
    client.say("GET /first HTTP/1.1\r\nHost: d\r\nReferer: /#x\r\n\r\n").await;
    client.say("DELETE /second/#x HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    assert_eq!(at_app.hear("\r\n").await, "GET /first HTTP/1.1\r\n");
    at_app.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let replies = client.hear_all().await;
    assert!(
        replies.starts_with("HTTP/1.1 204 ") && replies.contains("target_unclear"),
        "{replies}"
    );
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_an_ordinary_request() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say(
            "POST / HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
        .await;
    let head = app.accept().await.hear("\r\n\r\nbody").await;
    assert_eq!(header(&head, "upgrade"), None);
}

#[tokio::test]
async fn options_may_be_about_the_whole_server() {
    let (app, _proxy, mut client) = chain().await;
    client.say("OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(app.accept().await.hear("\r\n").await, "OPTIONS * HTTP/1.1\r\n");
}

#[tokio::test]
async fn http2_becomes_http1() {
    let (app, proxy, _) = chain().await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let chunks = ["one", "two"].map(|text| Ok::<_, std::io::Error>(Frame::data(Bytes::from(text))));
    let request = Request::post(format!("http://{}/x?y", proxy.address))
        .body(StreamBody::new(futures_util::stream::iter(chunks)))
        .unwrap();
    let answering = tokio::spawn(client.request(request));
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    assert!(head.starts_with("POST /x?y HTTP/1.1\r\n"), "{head}");
    let authority = proxy.address.to_string();
    assert_eq!(header(&head, "host"), Some(authority.as_str()));
    assert_eq!(header(&head, "x-forwarded-host"), Some(authority.as_str()));
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    at_app.hear("0\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    let reply = answering.await.unwrap().unwrap();
    assert_eq!(reply.version(), Version::HTTP_2);
    assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn an_app_that_is_down_is_a_502_without_details() {
    let app = App::start().await;
    let (proxy, authority) = (Proxy::before(&app).await, app.authority());
    drop(app);
    let mut client = proxy.connect().await;
    client.say("GET /x HTTP/1.1\r\nHost: d\r\nX-Request-Id: seven\r\n\r\n").await;
    let head = client.hear("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/problem+json"));
    let body = client.hear("}").await;
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], "app_unavailable");
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["request_id"], "seven");
    assert!(!body.contains(&authority) && !body.contains("refused"), "{body}");
}

#[tokio::test]
async fn a_reply_that_breaks_off_or_is_none_is_a_502() {
    for reply in ["", "HTTP/1.1 200 O", "nonsense\r\n\r\n", "HTTP/1.1 101 Ha\r\nUpgrade: x\r\n\r\n"]
    {
        let (app, _proxy, mut client) = chain().await;
        client.say("POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\na").await;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\na").await;
        at_app.say(reply).await;
        drop(at_app);
        let head = client.hear("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{reply:?}: {head}");
        assert!(client.hear("}").await.contains("\"app_unavailable\""));
    }
}

#[tokio::test]
async fn an_app_may_refuse_an_upload_before_its_end() {
    let (app, _proxy, mut client) = chain().await;
    let part = "x".repeat(200_000);
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 900000\r\n\r\n").await;
    client.say(&part).await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
    drop(at_app);
    let reply = client.hear("\r\n\r\nno").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn who_goes_on_sending_can_still_read_the_refusal() {
    const SIZE: usize = 8 << 20;
    let (app, _proxy, mut client) = chain().await;
    client.say(&format!("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
    drop(at_app);
    client.0.write_all(&vec![b'x'; SIZE]).await.unwrap();
    assert!(client.hear_all().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_failed_request_body_is_the_client_s_fault() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nnonsense")
        .await;
    let mut at_app = app.accept().await;
    at_app.hear("1\r\na\r\n").await;
    assert!(at_app.is_left().await);
    let reply = client.hear("}").await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("\"body_incomplete\""), "{reply}");
}

#[tokio::test]
async fn connect_is_refused() {
    let (_app, _proxy, mut client) = chain().await;
    client.say("CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n").await;
    assert!(client.hear("\r\n").await.starts_with("HTTP/1.1 405 "));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let waiting = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    let sending = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nhalf";
    for request in [waiting, sending] {
        let (app, _proxy, mut client) = chain().await;
        client.say(request).await;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\n").await;
        if request == sending {
            at_app.hear("half").await;
        }
        drop(client);
        assert!(at_app.is_left().await, "{request}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_reply_ends_it() {
    let (app, _proxy, mut client) = chain().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    client.hear("1\r\na\r\n").await;
    drop(client);
    assert!(at_app.is_left().await);
}

#[tokio::test]
async fn a_reply_cut_short_is_not_made_whole() {
    let (app, _proxy, mut client) = chain().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    client.hear("1\r\na\r\n").await;
    drop(at_app);
    assert!(client.is_left().await);
}

#[tokio::test]
async fn a_reply_that_is_broken_from_its_first_byte_still_shows_its_head() {
    let (app, _proxy, mut client) = chain().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\na").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\na").await;
    at_app.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    assert!(client.hear("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    assert!(client.is_left().await);
}

#[tokio::test]
async fn a_reply_to_head_has_one_length() {
    for (lengths, status) in [("5\r\nContent-Length: 5", 200), ("5\r\nContent-Length: 6", 502)] {
        let (app, _proxy, mut client) = chain().await;
        client.say("HEAD / HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\n")).await;
        let head = client.hear("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
    }
}
