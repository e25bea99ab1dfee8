//! Connections that the app closes when it likes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::server::testing::{App, Peer, Proxy};

use super::connections::BRISK_TIMEOUT;

const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A connection of the app over which the client was answered once, with a request like the one to come.
async fn served(app: &App, client: &mut Peer, request: &str) -> Peer {
    client.say(request).await;
    let mut at_app = app.accept().await;
    at_app.hear(end(request)).await;
    answer(&mut at_app, client, request).await;
    at_app
}

async fn answer(at_app: &mut Peer, client: &mut Peer, request: &str) {
    let head = request.starts_with("HEAD");
    at_app.say(if head { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" } else { REPLY }).await;
    assert!(client.hear(if head { "\r\n\r\n" } else { "ok" }).await.starts_with("HTTP/1.1 200 "));
}

fn end(request: &str) -> &str {
    request
        .rsplit_once("\r\n\r\n")
        .map_or("", |(_, body)| if body.is_empty() { "\r\n\r\n" } else { body })
}

/// The next thing that the app is asked, on another connection, is this client's own next request.
async fn is_asked_nothing_more(app: &App, client: &mut Peer) {
    client.say("GET /next HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = app.accept().await.hear("\r\n").await;
    assert_eq!(asked, "GET /next HTTP/1.1\r\n");
}

#[tokio::test]
async fn what_may_be_asked_twice_is_when_a_kept_connection_dies() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        let app = App::start().await;
        let proxy = Proxy::before(&app).await;
        let mut client = proxy.connect().await;
        let request = format!(
            "{method} /a%20b?c HTTP/1.1\r\nHost: d\r\nCookie: a=b\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n"
        );
        let mut first = served(&app, &mut client, &request).await;
        client.say(&request).await;
        let asked = first.hear("\r\n\r\n").await;
        drop(first);
        let mut second = app.accept().await;
        assert_eq!(second.hear("\r\n\r\n").await, asked);
        answer(&mut second, &mut client, &request).await;
    }
}

#[tokio::test]
async fn nothing_is_asked_a_third_time() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    let mut first = served(&app, &mut client, request).await;
    client.say(request).await;
    first.hear("\r\n\r\n").await;
    drop(first);
    app.accept().await.hear("\r\n\r\n").await;
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
    is_asked_nothing_more(&app, &mut client).await;
}

#[tokio::test]
async fn a_connection_that_never_served_is_no_excuse() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    app.accept().await.hear("\r\n\r\n").await;
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
    is_asked_nothing_more(&app, &mut client).await;
}

#[tokio::test]
async fn what_the_app_may_have_acted_on_is_never_asked_twice() {
    for request in [
        "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody",
        "PUT / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nHost: d\r\n\r\n",
        "LOCK / HTTP/1.1\r\nHost: d\r\n\r\n",
    ] {
        let app = App::start().await;
        let proxy = Proxy::before(&app).await;
        let mut client = proxy.connect().await;
        let mut first = served(&app, &mut client, request).await;
        client.say(request).await;
        first.hear(end(request)).await;
        drop(first);
        assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "), "{request}");
        is_asked_nothing_more(&app, &mut client).await;
    }
}

#[tokio::test]
async fn a_byte_of_reply_is_a_reply() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    let mut first = served(&app, &mut client, request).await;
    client.say(request).await;
    first.hear("\r\n\r\n").await;
    first.say("H").await;
    drop(first);
    assert!(client.hear("}").await.starts_with("HTTP/1.1 502 "));
    is_asked_nothing_more(&app, &mut client).await;
}

#[tokio::test]
async fn an_upload_takes_no_connection_that_the_app_may_be_about_to_close() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    let upload = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody";
    let view = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    let mut for_views = served(&app, &mut client, view).await;
    let mut first = served(&app, &mut client, upload).await;
    client.say(upload).await;
    first.hear("body").await;
    answer(&mut first, &mut client, upload).await;
    tokio::time::sleep(BRISK_TIMEOUT + Duration::from_millis(1)).await;
    let _second = served(&app, &mut client, upload).await;
    client.say(view).await;
    for_views.hear("\r\n\r\n").await;
    answer(&mut for_views, &mut client, view).await;
}
