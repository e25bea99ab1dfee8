//! What passes before a reply: interim replies, and the word that a client with a body waits for.
#![allow(clippy::unwrap_used)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::time::timeout;

use crate::proxy::testing::{App, PATIENCE, Peer, Proxy};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

async fn asked(request: &str) -> (App, Proxy, Peer, Peer) {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say(request).await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    (app, proxy, client, at_app)
}

#[tokio::test]
async fn early_hints_arrive_before_the_reply_is_there() {
    let (_app, _proxy, mut client, mut at_app) = asked("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    at_app
        .say("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")
        .await;
    assert_eq!(
        client.hear("\r\n\r\n").await,
        "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>\r\n\r\n"
    );
    at_app.say(OK).await;
    assert!(client.hear("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn an_address_in_one_is_edited_as_that_of_the_reply_is() {
    let app = App::start().await;
    for prefix in ["", "/base"] {
        let proxy =
            Proxy::start(&format!("{}{prefix}", app.url()), crate::proxy::testing::PATIENT).await;
        let (app_url, there) = (app.url(), format!("{prefix}/uploads/7"));
        for location in [format!("{app_url}{there}"), there] {
            let said = format!(
                "HTTP/1.1 104 Upload Resumption Supported\r\nLocation: {location}\r\n\
                 Content-Location: {location}\r\nLink: <{app_url}/a>\r\n\r\n"
            );
            // Without a body and with one go different ways.
            for request in [
                "GET / HTTP/1.1\r\nHost: d\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\na",
            ] {
                let mut client = proxy.connect().await;
                client.say(request).await;
                let mut at_app = app.accept().await;
                at_app.hear("\r\n\r\n").await;
                at_app.say(&said).await;
                let heard = client.hear("\r\n\r\n").await;
                assert!(heard.starts_with("HTTP/1.1 104 "), "{heard}");
                assert!(heard.contains("\r\nlocation: /uploads/7\r\n"), "{heard}");
                assert!(heard.contains("\r\ncontent-location: /uploads/7\r\n"), "{heard}");
                at_app
                    .say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                    .await;
                client.hear("ok").await;
            }
            let mut client = http2(&proxy).await;
            let (mut reply, _) =
                client.send_request(Request::get("http://d/").body(()).unwrap(), true).unwrap();
            let mut at_app = app.accept().await;
            at_app.hear("\r\n\r\n").await;
            at_app.say(&said).await;
            let interim = poll_fn(|context| reply.poll_informational(context));
            let interim = timeout(PATIENCE, interim).await.unwrap().unwrap().unwrap();
            assert_eq!(interim.status(), 104);
            assert_eq!(interim.headers()["location"], "/uploads/7");
            at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
        }
    }
}

#[tokio::test]
async fn interim_replies_keep_their_order_even_when_all_come_at_once() {
    let (_app, _proxy, mut client, mut at_app) = asked("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    for _ in 0..3 {
        let processing = "HTTP/1.1 102 Processing\r\n\r\n";
        at_app.say(&format!("{processing}{HINTS}HTTP/1.1 199 Odd\r\nA: b\r\n\r\n{OK}")).await;
        assert_eq!(client.hear("\r\n\r\n").await, processing);
        assert_eq!(client.hear("\r\n\r\n").await.to_lowercase(), HINTS.to_lowercase());
        assert_eq!(client.hear("\r\n\r\n").await, "HTTP/1.1 199 \r\na: b\r\n\r\n");
        assert!(client.hear("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.say("GET /next HTTP/1.1\r\nHost: d\r\n\r\n").await;
        at_app.hear("\r\n\r\n").await;
    }
}

#[tokio::test]
async fn pipelined_requests_have_their_own_interim_replies() {
    let two = "GET /1 HTTP/1.1\r\nHost: d\r\n\r\nGET /2 HTTP/1.1\r\nHost: d\r\n\r\n";
    let (_app, _proxy, mut client, mut at_app) = asked(two).await;
    at_app.say(&format!("HTTP/1.1 103 Early Hints\r\nA: 1\r\n\r\n{OK}")).await;
    at_app.hear("\r\n\r\n").await;
    at_app.say(&format!("HTTP/1.1 103 Early Hints\r\nA: 2\r\n\r\n{OK}")).await;
    for one in ["a: 1", "a: 2"] {
        assert_eq!(
            client.hear("\r\n\r\n").await,
            format!("HTTP/1.1 103 Early Hints\r\n{one}\r\n\r\n")
        );
        assert!(client.hear("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn clients_that_know_no_interim_replies_get_none() {
    let (_app, _proxy, mut client, mut at_app) = asked("GET / HTTP/1.0\r\nHost: d\r\n\r\n").await;
    at_app.say(&format!("{HINTS}{OK}")).await;
    assert!(client.hear("\r\n\r\nok").await.starts_with("HTTP/1.0 200 OK\r\n"));
}

#[tokio::test]
async fn clients_of_http2_get_them_on_their_stream() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = http2(&proxy).await;
    let mut replies = Vec::new();
    for path in ["/1", "/2"] {
        let request = Request::get(format!("http://d{path}")).body(()).unwrap();
        let reply = client.send_request(request, true).unwrap().0;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\n").await;
        replies.push((path, reply, at_app));
    }
    for (path, mut reply, mut at_app) in replies.into_iter().rev() {
        let hints = format!("Link: <{path}>\r\nConnection: X-Hop\r\nX-Hop: 1\r\nA: b");
        at_app.say(&format!("HTTP/1.1 103 Early Hints\r\n{hints}\r\n\r\n")).await;
        let hints = timeout(PATIENCE, poll_fn(|context| reply.poll_informational(context))).await;
        let hints = hints.unwrap().unwrap().unwrap();
        assert_eq!((hints.status().as_u16(), hints.headers().len()), (103, 2));
        assert_eq!(hints.headers()["link"], format!("<{path}>"));
        at_app.say(OK).await;
        let reply = timeout(PATIENCE, reply).await.unwrap().unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-length"], "2");
    }
}

#[tokio::test]
async fn those_to_clients_of_http2_have_an_end() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = http2(&proxy).await;
    let request = Request::get("http://d/").body(()).unwrap();
    let mut reply = client.send_request(request, true).unwrap().0;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    for _ in 0..100 {
        at_app.say(&format!("HTTP/1.1 103 Early Hints\r\nA: {}\r\n\r\n", "a".repeat(4000))).await;
    }
    at_app.say(OK).await;
    let mut heard = 0;
    let replied = poll_fn(|context| {
        while let Poll::Ready(Some(Ok(_))) = reply.poll_informational(context) {
            heard += 1;
        }
        Pin::new(&mut reply).poll(context)
    });
    assert_eq!(timeout(PATIENCE, replied).await.unwrap().unwrap().status(), 200);
    assert!((1..=16).contains(&heard), "{heard}");
}

async fn http2(proxy: &Proxy) -> SendRequest<Bytes> {
    let stream = proxy.connect().await.0;
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn interim_replies_without_end_are_not_hoarded() {
    let (_app, proxy, client, mut at_app) = asked("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let hints = format!("HTTP/1.1 103 Early Hints\r\nA: {}\r\n\r\n", "a".repeat(4000));
    // More than the sockets hold, for a client that reads none of it.
    for _ in 0..10_000 {
        at_app.say(&hints).await;
    }
    at_app.say(OK).await;
    drop(client);
    assert!(at_app.is_left().await);
    drop(proxy);
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_app_wants_it() {
    let (app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    at_app.say(CONTINUE).await;
    assert_eq!(client.hear("\r\n\r\n").await, CONTINUE);
    client.say("hello").await;
    assert_eq!(at_app.hear("hello").await, "hello");
    at_app.say(OK).await;
    assert!(client.hear("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
    // And the connection goes on; what can be repeated has other connections to the app.
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say(OK).await;
    client.hear("\r\n\r\nok").await;
}

#[tokio::test]
async fn a_refusal_spares_the_client_its_body() {
    let (_app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    at_app.say("HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nnot").await;
    let head = client.hear("not").await;
    assert!(
        head.starts_with("HTTP/1.1 413 ") && head.contains("\r\nconnection: close\r\n"),
        "{head}"
    );
    // A reply that takes its time is not cut short for the body's sake.
    at_app.say(" so").await;
    client.hear(" so").await;
    assert!(client.is_left().await);
    assert!(at_app.is_left().await, "half a request is of no use to anybody");
}

#[tokio::test]
async fn an_app_that_begins_its_answer_first_gets_what_the_client_sends() {
    let (_app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nso").await;
    let head = client.hear("so").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("100"), "{head}");
    client.say("hello").await;
    assert_eq!(at_app.hear("hello").await, "hello");
    at_app.say("far").await;
    client.hear("far").await;
    assert!(client.is_left().await);
}

#[tokio::test]
async fn a_client_that_keeps_its_body_for_itself_then_holds_up_nobody() {
    let (_app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    at_app.say(OK).await;
    let head = client.hear("\r\n\r\nok").await;
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(client.is_left().await);
    assert!(at_app.is_left().await, "half a request is of no use to anybody");
}

#[tokio::test]
async fn an_app_that_knows_no_expectations_gets_the_body() {
    let (_app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    assert_eq!(client.hear("\r\n\r\n").await, CONTINUE);
    client.say("hello").await;
    at_app.hear("hello").await;
    at_app.say(OK).await;
    client.hear("\r\n\r\nok").await;
}

#[tokio::test]
async fn a_client_may_send_its_body_without_waiting() {
    let (_app, _proxy, mut client, mut at_app) = asked(EXPECTING).await;
    client.say("hello").await;
    at_app.say(CONTINUE).await;
    at_app.hear("hello").await;
    at_app.say(OK).await;
    let reply = client.hear("\r\n\r\nok").await;
    assert!(reply.trim_start_matches(CONTINUE).starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
}
