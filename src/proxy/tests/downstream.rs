//! The listener's own behaviour: start, drain, end.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::downstream::{ClientLimits, Limits};

use crate::proxy::testing::{App, PATIENCE, PATIENT, Proxy};

#[tokio::test]
async fn a_drain_lets_a_running_upload_finish() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut at_app = app.accept().await;
    at_app.hear("half").await;

    let address = proxy.address;
    let ended = proxy.stop();
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    assert!(!ended.is_finished());

    client.say("full").await;
    at_app.hear("full").await;
    at_app.say("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    let reply = client.hear("\r\n\r\nok").await;
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert!(client.is_left().await);
}

#[tokio::test]
async fn a_drain_ends_in_time() {
    let app = App::start().await;
    let proxy = Proxy::start(&app.url(), Limits { drain: MOMENT, ..PATIENT }).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut at_app = app.accept().await;
    at_app.hear("half").await;
    timeout(PATIENCE, proxy.stop()).await.unwrap().unwrap();
    assert!(client.is_left().await);
    assert!(at_app.is_left().await);
}

#[tokio::test]
async fn idle_connections_do_not_delay_a_drain() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut silent = proxy.connect().await;
    let mut kept = proxy.connect().await;
    kept.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    kept.hear("ok").await;
    timeout(PATIENCE, proxy.stop()).await.unwrap().unwrap();
    assert!(silent.is_left().await);
    assert!(kept.is_left().await);
}

#[tokio::test]
async fn requests_are_counted_while_they_wait() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    assert!(proxy.metrics.render().contains("transom_requests_in_flight 1\n"));
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hear("\r\n\r\n").await;
    assert!(proxy.metrics.render().contains("transom_requests_in_flight 0\n"));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let app = App::start().await;
    let proxy = Proxy::start(&app.url(), held_to(|limits| limits.header_time = MOMENT)).await;
    for said in ["", "P", "GET / HTTP/1.1\r\nHo"] {
        let mut client = proxy.connect().await;
        client.say(said).await;
        let mut rest = Vec::new();
        let closed = timeout(PATIENCE, client.0.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{said:?}");
    }
}

#[tokio::test]
async fn only_heads_are_timed() {
    let app = App::start().await;
    let proxy = Proxy::start(&app.url(), held_to(|limits| limits.header_time = MOMENT)).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut at_app = app.accept().await;
    at_app.hear("half").await;
    tokio::time::sleep(3 * MOMENT).await;
    client.say("full").await;
    at_app.hear("full").await;
    tokio::time::sleep(3 * MOMENT).await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.hear("\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody",
        "GET / HTTP/1.1\r\nHost: d\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let mut client = proxy.connect().await;
        client.say(request).await;
        let mut at_app = app.accept().await;
        at_app.hear(if request.ends_with("body") { "body" } else { "\r\n\r\n" }).await;
        drop(client);
        assert!(at_app.is_left().await, "{request}");
    }
}

#[tokio::test]
async fn a_body_that_goes_wrong_is_answered() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("a\r\n").await;
    client.say("0x1\r\na\r\n").await;
    assert!(client.hear("\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert!(at_app.is_left().await);
}

#[tokio::test]
async fn what_follows_a_request_early_waits_for_its_turn() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("GET /1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    client.say("POST /2 HTTP/1.1\r\nHost: d\r\nContent-Length: 20000\r\n\r\n").await;
    tokio::time::sleep(MOMENT).await;
    client.say(&"x".repeat(20_000)).await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
    let mut at_app = app.accept().await;
    assert!(at_app.hear(&"x".repeat(20_000)).await.starts_with("POST /2 "));
    at_app.say("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
}

#[tokio::test]
async fn what_a_client_says_before_its_upgrade_reaches_the_app() {
    let app = App::start().await;
    let proxy = Proxy::before(&app).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    client.say("early ").await;
    tokio::time::sleep(MOMENT).await;
    client.say("later").await;
    at_app
        .say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi")
        .await;
    client.hear("\r\n\r\nhi").await;
    assert_eq!(at_app.hear("later").await, "early later");
}

/// The usual limits but for some.
fn held_to(change: impl FnOnce(&mut ClientLimits)) -> Limits {
    let mut limits = PATIENT;
    change(&mut limits.of_clients);
    limits
}

const MOMENT: Duration = Duration::from_millis(200);
