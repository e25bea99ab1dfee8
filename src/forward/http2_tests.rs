//! An app that speaks HTTP/2 and nothing else, frame by frame.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::config::AppConfig;
use crate::server::testing::{PATIENCE, PATIENT, Peer, Proxy};

struct Http2App(TcpListener);

type Asked = (Request<h2::RecvStream>, SendResponse<Bytes>);

impl Http2App {
    async fn start() -> (Self, Proxy, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = AppConfig { http2: true, ..AppConfig::at(url.parse().unwrap()) };
        let proxy = Proxy::around(&app, PATIENT, |entrance| entrance).await;
        let client = proxy.connect().await;
        (Self(listener), proxy, client)
    }

    async fn accept(&self) -> Connection<TcpStream, Bytes> {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        h2::server::Builder::new().max_concurrent_streams(1).handshake(stream).await.unwrap()
    }
}

/// The next request.
async fn asked(connection: &mut Connection<TcpStream, Bytes>) -> Asked {
    timeout(PATIENCE, connection.accept()).await.unwrap().unwrap().unwrap()
}

fn answer(mut reply: SendResponse<Bytes>, text: &'static str) {
    let mut body = reply.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}

#[tokio::test]
async fn what_the_app_refused_unread_is_asked_once_more() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("GET /x HTTP/1.1\r\nHost: docs.example\r\nCookie: a=b\r\n\r\n").await;
    let mut connection = app.accept().await;
    let (first, mut reply) = asked(&mut connection).await;
    reply.send_reset(Reason::REFUSED_STREAM);
    let (second, reply) = asked(&mut connection).await;
    assert_eq!((second.uri(), second.headers()), (first.uri(), first.headers()));
    assert_eq!(second.uri().authority().unwrap(), "docs.example");
    answer(reply, "ok");
    tokio::spawn(async move { connection.accept().await.is_none() });
    assert!(client.hear("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_the_app_may_have_read_is_not() {
    let upload = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\na";
    let view = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    for (request, reason) in
        [(upload, Reason::REFUSED_STREAM), (view, Reason::INTERNAL_ERROR), (view, Reason::CANCEL)]
    {
        let (app, _proxy, mut client) = Http2App::start().await;
        client.say(request).await;
        let mut connection = app.accept().await;
        asked(&mut connection).await.1.send_reset(reason);
        client.say("GET /next HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let (next, reply) = asked(&mut connection).await;
        assert_eq!(next.uri().path(), "/next", "{reason:?}");
        answer(reply, "ok");
        tokio::spawn(async move { connection.accept().await.is_none() });
        assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "), "{reason:?}");
        client.hear("ok").await;
    }
}

#[tokio::test]
async fn a_request_that_finds_no_room_gets_a_connection_of_its_own() {
    let (app, proxy, mut client) = Http2App::start().await;
    client.say("GET /one HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut first = app.accept().await;
    let (_, one) = asked(&mut first).await;
    // Once this is answered, what the app said of its room is known.
    let mut ping = first.ping_pong().unwrap();
    tokio::select! {
        pong = timeout(PATIENCE, ping.ping(h2::Ping::opaque())) => drop(pong.unwrap().unwrap()),
        _ = first.accept() => panic!("there is nothing else"),
    }
    let mut other = proxy.connect().await;
    other.say("GET /two HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut second = app.accept().await;
    let (_, two) = asked(&mut second).await;
    for (mut connection, reply, mut client) in [(second, two, other), (first, one, client)] {
        answer(reply, "ok");
        tokio::spawn(async move { connection.accept().await.is_none() });
        client.hear("ok").await;
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_to_blame_itself() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client
        .say("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nnonsense")
        .await;
    let mut connection = app.accept().await;
    let (request, _reply) = asked(&mut connection).await;
    tokio::spawn(async move { connection.accept().await.is_none() });
    let mut body = request.into_body();
    let broken = async { while body.data().await.unwrap().is_ok() {} };
    timeout(PATIENCE, broken).await.unwrap();
    let reply = client.hear("}").await;
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("body_incomplete"), "{reply}");
}

#[tokio::test]
async fn an_app_that_does_not_speak_it_is_a_502() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = Peer(app.0.accept().await.unwrap().0);
    at_app.hear("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    at_app.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
    drop((app, at_app));
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
}
