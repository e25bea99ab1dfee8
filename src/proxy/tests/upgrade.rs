//! Changes of protocol, and what comes of those that are not agreed to.
#![allow(clippy::unwrap_used)]

use super::upstream::{chain, header};

#[tokio::test]
async fn an_upgrade_is_tunnelled_once_the_app_agreed() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say(
            "GET /socket HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
        )
        .await;
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    assert_eq!(header(&head, "connection"), Some("upgrade"));
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(header(&head, "sec-websocket-key"), Some("k"));
    at_app
        .say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: a\r\n\r\nhello",
        )
        .await;
    let head = client.hear("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(header(&head, "sec-websocket-accept"), Some("a"));
    client.hear("hello").await;
    client.say("\0\u{1}raw").await;
    at_app.hear("\0\u{1}raw").await;
    at_app.say("echo").await;
    client.hear("echo").await;
    drop(client);
    assert!(at_app.is_left().await);
}

#[tokio::test]
async fn an_app_that_declines_an_upgrade_answers_as_ever() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say("GET / HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let head = client.hear("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    client.hear("no").await;
}

#[tokio::test]
async fn requests_are_watched_on_after_an_upgrade_that_came_to_nothing() {
    for (upgrade, status) in [("foo", "200 OK"), ("websocket", "404 Not Found"), ("h2c", "200 OK")]
    {
        for at_once in [true, false] {
            let (app, _proxy, mut client) = chain().await;
            let asked = format!(
                "GET /first HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                 Upgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
            );
            let clear = "GET /second HTTP/1.1\r\nHost: d\r\n\r\n";
            let unclear = "POST /third HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\
                           Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
            let behind = [clear, unclear].concat();
            client.say(&asked).await;
            if at_once {
                client.say(&behind).await;
            }
            let mut at_app = app.accept().await;
            let head = at_app.hear("\r\n\r\n").await;
            assert_eq!(header(&head, "http2-settings"), None);
            at_app
                .say(&format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                ))
                .await;
            client.hear("\r\n\r\n").await;
            if !at_once {
                client.say(&behind).await;
            }
            let mut at_app = app.accept().await;
            assert_eq!(at_app.hear("\r\n").await, "GET /second HTTP/1.1\r\n");
            at_app.hear("\r\n\r\n").await;
            at_app.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            client.hear("\r\n\r\n").await;
            assert!(client.hear_all().await.starts_with("HTTP/1.1 400 "), "{upgrade}");
        }
    }
}

#[tokio::test]
async fn what_a_client_says_before_a_change_of_protocol_is_agreed_comes_through() {
    let (app, _proxy, mut client) = chain().await;
    client
        .say("GET / HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nfirst\n")
        .await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    client.say("second\n").await;
    at_app
        .say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
        .await;
    client.hear("\r\n\r\n").await;
    client.say("third\n").await;
    assert_eq!(at_app.hear("third\n").await, "first\nsecond\nthird\n");
}

#[tokio::test]
async fn a_client_that_leaves_before_its_upgrade_is_answered_takes_it_along() {
    let (app, _proxy, mut client) = chain().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    drop(client);
    assert!(at_app.is_left().await);
}
