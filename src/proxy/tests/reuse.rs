//! Connections that the app closes when it likes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::proxy::testing::{App, PATIENCE, Peer, Proxy};

use crate::http::upstream::SHORT_IDLE_TIMEOUT;

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
    tokio::time::sleep(SHORT_IDLE_TIMEOUT + Duration::from_millis(1)).await;
    let _second = served(&app, &mut client, upload).await;
    client.say(view).await;
    for_views.hear("\r\n\r\n").await;
    answer(&mut for_views, &mut client, view).await;
}

#[tokio::test]
async fn an_app_that_waits_for_less_is_asked_for_less() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    let view = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    for hint in ["Keep-Alive: timeout=0", "Connection: close"] {
        client.say(view).await;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(&format!("HTTP/1.1 200 OK\r\n{hint}\r\nContent-Length: 2\r\n\r\nok")).await;
        client.hear("ok").await;
        assert!(at_app.is_left().await, "{hint}");
    }
}

#[tokio::test]
async fn a_connection_that_nobody_needs_is_closed() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        let mut at_app = served(&app, &mut client, request).await;
        assert!(at_app.is_left().await, "{request}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along_and_no_connection_is_used_half_way() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let view = "GET / HTTP/1.1\r\nHost: d\r\n\r\n";
    for said in ["", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"] {
        let mut client = proxy.connect().await;
        client.say(view).await;
        let mut at_app = app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(said).await;
        if !said.is_empty() {
            client.hear("half").await;
        }
        drop(client);
        assert!(at_app.is_left().await, "{said}");
    }
}

#[tokio::test]
async fn a_body_goes_on_while_the_client_takes_nothing_of_the_reply() {
    const SIZE: usize = 32 << 20;
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say(&format!("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    let (mut from_proxy, mut to_proxy) = at_app.0.into_split();
    let replying = tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        to_proxy.write_all(head.as_bytes()).await.unwrap();
        to_proxy.write_all(&vec![b'x'; SIZE]).await
    });
    let sending = async {
        client.0.write_all(&vec![b'y'; SIZE]).await.unwrap();
        client
    };
    let receiving = async {
        let mut left = SIZE as u64;
        while left > 0 {
            left -= tokio::io::copy(&mut (&mut from_proxy).take(left), &mut tokio::io::sink())
                .await
                .unwrap();
        }
    };
    let (mut client, ()) =
        timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.unwrap();
    assert!(!replying.is_finished());
    assert!(client.hear("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    let mut reply = vec![0; SIZE];
    client.0.read_exact(&mut reply).await.unwrap();
    assert!(reply.iter().all(|byte| *byte == b'x'));
}
