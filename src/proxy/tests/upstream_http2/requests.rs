//! What becomes of requests.
#![allow(clippy::unwrap_used)]

use h2::Reason;
use tokio::time::timeout;

use crate::proxy::testing::{PATIENCE, Peer};

use super::{Http2App, answer, asked, run};

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
    run(connection);
    assert!(client.hear("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn so_is_what_finds_out_that_a_kept_connection_is_gone() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("GET /1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut connection = app.accept().await;
    let (_, reply) = asked(&mut connection).await;
    answer(reply, "ok");
    let next = asked(&mut connection);
    let (_, (request, _reply)) = tokio::join!(
        async {
            client.hear("ok\r\n0\r\n\r\n").await;
            client.say("GET /2 HTTP/1.1\r\nHost: d\r\n\r\n").await;
        },
        next
    );
    assert_eq!(request.uri().path(), "/2");
    drop((request, connection));
    // A new one that breaks off as well is not due to its age.
    let mut connection = app.accept().await;
    assert_eq!(asked(&mut connection).await.0.uri().path(), "/2");
    drop(connection);
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn so_is_an_upload_that_it_refused_unread() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nhello").await;
    let mut connection = app.accept().await;
    let (first, mut refusal) = asked(&mut connection).await;
    let mut body = first.into_body();
    tokio::select! {
        data = body.data() => assert_eq!(data.unwrap().unwrap(), "hello"),
        _ = connection.accept() => panic!("there is nothing else"),
    }
    refusal.send_reset(Reason::REFUSED_STREAM);
    let (second, reply) = asked(&mut connection).await;
    run(connection);
    client.say("world").await;
    let mut body = second.into_body();
    let mut whole = Vec::new();
    while let Some(data) = timeout(PATIENCE, body.data()).await.unwrap() {
        whole.extend_from_slice(&data.unwrap());
    }
    assert_eq!(whole, b"helloworld");
    answer(reply, "ok");
    client.hear("ok").await;
}

#[tokio::test]
async fn many_at_once_all_find_room() {
    let (app, proxy, _client) = Http2App::start().await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = proxy.connect().await;
        client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
        clients.push(client);
    }
    let mut open = Vec::new();
    for _ in 0..clients.len() {
        let mut connection = app.accept().await;
        let (_, reply) = asked(&mut connection).await;
        run(connection);
        open.push(reply);
    }
    open.into_iter().for_each(|reply| answer(reply, "ok"));
    for mut client in clients {
        assert!(client.hear("ok").await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_connection_that_does_not_get_ready_holds_up_nobody_for_long() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let _vanished = app.0.accept().await.unwrap();
    let mut connection = app.accept().await;
    let (_, reply) = asked(&mut connection).await;
    run(connection);
    answer(reply, "ok");
    client.hear("ok").await;
}

#[tokio::test]
async fn what_the_app_may_have_read_is_not() {
    let upload = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\na";
    let view = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    for (request, reason) in
        [(upload, Reason::CANCEL), (view, Reason::INTERNAL_ERROR), (view, Reason::CANCEL)]
    {
        let (app, _proxy, mut client) = Http2App::start().await;
        client.say(request).await;
        let mut connection = app.accept().await;
        asked(&mut connection).await.1.send_reset(reason);
        client.say("GET /next HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let (next, reply) = asked(&mut connection).await;
        assert_eq!(next.uri().path(), "/next", "{reason:?}");
        answer(reply, "ok");
        run(connection);
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
    for (connection, reply, mut client) in [(second, two, other), (first, one, client)] {
        answer(reply, "ok");
        run(connection);
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
    run(connection);
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

#[tokio::test]
async fn an_upload_never_finds_out_that_the_app_goes_away() {
    let (app, _proxy, mut client) = Http2App::start().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut connection = app.accept().await;
    let (_, reply) = asked(&mut connection).await;
    connection.graceful_shutdown();
    answer(reply, "ok");
    run(connection);
    client.hear("ok").await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut connection = app.accept().await;
    let (request, reply) = asked(&mut connection).await;
    run(connection);
    let mut body = request.into_body();
    assert_eq!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap(), "hello");
    answer(reply, "ok");
    client.hear("ok").await;
}

#[tokio::test]
async fn lengths_are_those_of_the_bodies() {
    let (app, _proxy, mut client) = Http2App::start().await;
    let mut connection = None;
    for (head, length) in [
        ("GET / HTTP/1.1\r\nHost: d\r\n\r\n", None),
        ("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n", Some("0")),
        ("PUT / HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello", Some("5")),
        (
            "PUT / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            None,
        ),
    ] {
        client.say(head).await;
        if connection.is_none() {
            connection = Some(app.accept().await);
        }
        let (request, reply) = asked(connection.as_mut().unwrap()).await;
        let told = request.headers().get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!(told, length, "{head}");
        answer(reply, "ok");
        let connection = connection.as_mut().unwrap();
        tokio::select! {
            heard = client.hear("ok") => drop(heard),
            _ = connection.accept() => panic!("there is nothing else"),
        }
    }
}
