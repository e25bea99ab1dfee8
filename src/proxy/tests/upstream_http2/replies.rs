//! What becomes of replies.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::time::timeout;

use crate::proxy::testing::PATIENCE;

use super::{Http2App, answer, asked, begun, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 10000000\r\n\r\n";

fn early(status: u16, link: &str) -> Response<()> {
    Response::builder().status(status).header("link", link).body(()).unwrap()
}

#[tokio::test]
async fn interim_replies_reach_clients_before_the_reply_is_there() {
    let (_ends, mut client, (_, mut reply)) = begun(GET).await;
    for (status, link, heard) in [
        (102, "</a>", "HTTP/1.1 102 Processing\r\nlink: </a>\r\n\r\n"),
        (103, "</b>", "HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n"),
    ] {
        reply.send_informational(early(status, link)).unwrap();
        assert_eq!(client.hear("\r\n\r\n").await, heard);
    }
    answer(reply, "ok");
    assert!(client.hear("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_address_in_an_interim_reply_is_edited() {
    let ((app, _proxy), mut client, (_, mut reply)) = begun(GET).await;
    let location = format!("http://{}/uploads/7", app.0.local_addr().unwrap());
    let interim = Response::builder().status(104).header("location", location).body(()).unwrap();
    reply.send_informational(interim).unwrap();
    let heard = client.hear("\r\n\r\n").await;
    assert!(heard.contains("\r\nlocation: /uploads/7\r\n"), "{heard}");
    answer(reply, "ok");
    client.hear("ok").await;
}

#[tokio::test]
async fn and_clients_of_http2() {
    let (app, proxy, _) = Http2App::start().await;
    let stream = proxy.connect().await.0;
    let (mut client, at_client) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(at_client);
    let request = Request::get("http://d/").body(()).unwrap();
    let mut heard = client.send_request(request, true).unwrap().0;
    let mut connection = app.accept().await;
    let (_, mut reply) = asked(&mut connection).await;
    run(connection);
    reply.send_informational(early(103, "</a>")).unwrap();
    let hints = timeout(PATIENCE, poll_fn(|context| heard.poll_informational(context))).await;
    assert_eq!(hints.unwrap().unwrap().unwrap().headers()["link"], "</a>");
    answer(reply, "ok");
    assert_eq!(timeout(PATIENCE, heard).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_app_wants_it() {
    let expecting =
        "POST / HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let (_ends, mut client, (request, mut reply)) = begun(expecting).await;
    reply.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
    assert_eq!(client.hear("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.say("hello").await;
    let mut body = request.into_body();
    assert_eq!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap(), "hello");
    answer(reply, "ok");
    assert!(client.hear("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn trailers_come_through() {
    let (_ends, mut client, (_, mut reply)) =
        begun("GET / HTTP/1.1\r\nHost: d\r\nTE: trailers\r\n\r\n").await;
    let head = Response::builder().header("trailer", "x-sum").body(()).unwrap();
    let mut body = reply.send_response(head, false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), false).unwrap();
    body.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]))
        .unwrap();
    assert!(client.hear("0\r\nx-sum: 1\r\n\r\n").await.contains("\r\n2\r\nok\r\n"));
}

#[tokio::test]
async fn a_reply_that_is_reset_has_no_end() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (_ends, mut client, (_, mut reply)) = begun(GET).await;
        let mut body = reply.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        client.hear("\r\n4\r\nhalf\r\n").await;
        body.send_reset(reason);
        assert_eq!(client.hear_all().await, "", "{reason}");
    }
}

#[tokio::test]
async fn two_lengths_are_none() {
    let (_ends, mut client, (_, mut reply)) = begun(GET).await;
    let head = Response::builder().header("content-length", "2").header("content-length", "3");
    let mut body = reply.send_response(head.body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn an_early_reply_leaves_the_upload_to_the_app() {
    let (_ends, mut client, (request, reply)) = begun(UPLOAD).await;
    answer(reply, "ok");
    client.hear("ok").await;
    client.say(&"a".repeat(60_000)).await;
    let mut body = request.into_body();
    let mut received = 0;
    while received < 60_000 {
        let data = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        received += data.len();
    }
    drop(client);
    assert_eq!(why_it_ended(body).await, Reason::CANCEL);
}

#[tokio::test]
async fn an_app_that_has_answered_and_takes_nothing_holds_up_nobody() {
    let (_ends, mut client, (request, reply)) = begun(UPLOAD).await;
    answer(reply, "ok");
    client.hear("0\r\n\r\n").await;
    // More than fits into its window.
    client.say(&"a".repeat(200_000)).await;
    assert!(client.is_left().await);
    assert_eq!(why_it_ended(request.into_body()).await, Reason::CANCEL);
}

#[tokio::test]
async fn replies_that_nobody_takes_hold_up_no_other() {
    let (app, proxy, mut client) = Http2App::start().await;
    let (mut idle, at_idle) = h2::client::handshake(proxy.connect().await.0).await.unwrap();
    tokio::spawn(at_idle);
    let get = || Request::get("http://d/").body(()).unwrap();
    let mut untaken = vec![idle.send_request(get(), true).unwrap().0];
    let mut connection = app.accept_for(100).await;
    let mut full = Vec::new();
    for _ in 0..MANY {
        let (_, mut reply) = asked(&mut connection).await;
        let body = reply.send_response(Response::new(()), false).unwrap();
        tokio::select! {
            body = fill(body) => full.push(body),
            _ = connection.accept() => panic!("there is nothing else"),
        }
        untaken.push(idle.send_request(get(), true).unwrap().0);
    }
    client.say("GET /other HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let (mut request, mut reply) = asked(&mut connection).await;
    if request.uri().path() != "/other" {
        (request, reply) = asked(&mut connection).await;
    }
    assert_eq!(request.uri().path(), "/other");
    run(connection);
    answer(reply, "ok");
    client.hear("ok").await;
}

/// What an upload is reset with.
async fn why_it_ended(mut upload: RecvStream) -> Reason {
    let reset = async {
        loop {
            if let Err(error) = upload.data().await.unwrap() {
                return error.reason().unwrap();
            }
        }
    };
    timeout(PATIENCE, reset).await.unwrap()
}

/// Sends until nothing more is taken.
async fn fill(mut body: SendStream<Bytes>) -> SendStream<Bytes> {
    loop {
        body.reserve_capacity(10_000);
        let room = timeout(MOMENT, poll_fn(|context| body.poll_capacity(context))).await;
        let Ok(Some(room)) = room else { return body };
        body.send_data(vec![0; room.unwrap()].into(), false).unwrap();
    }
}

/// More than one connection's usual window has room for.
const MANY: usize = 30;
/// Shorter, and less would be held up than could be.
const MOMENT: Duration = Duration::from_millis(50);
