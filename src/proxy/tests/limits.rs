//! Each limit, struck by a client or an app that earns it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::config::AppLimits;
use crate::http::downstream::{ClientLimits, Limits, REST_AFTER};

use crate::proxy::testing::{App, PATIENCE, PATIENT, Peer, Proxy, tls};

async fn proxy(app: &App, clients: ClientLimits, of_app: AppLimits) -> Proxy {
    let limits = Limits { of_clients: clients, ..PATIENT };
    Proxy::start_with(&app.url(), limits, of_app).await
}

async fn counted(proxy: &Proxy, limit: &str) {
    let line = format!("transom_limits_reached_total{{limit=\"{limit}\"}}");
    for _ in 0..200 {
        if proxy.metrics.render().contains(&line) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{line} is not in\n{}", proxy.metrics.render());
}

async fn everything(peer: &mut Peer) -> String {
    let mut rest = Vec::new();
    // A connection that is cut may end in a reset after what was said.
    let _ = timeout(PATIENCE, peer.0.read_to_end(&mut rest)).await.unwrap();
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test]
async fn a_head_that_never_ends() {
    let app = App::start().await;
    let clients = ClientLimits { header_time: MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHo").await;
    assert_eq!(everything(&mut client).await, "");
    counted(&proxy, "server.limits.header_time").await;
}

#[tokio::test]
async fn a_connection_that_rested_is_served_as_before() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default(), AppLimits::default()).await;
    asks_and_rests(&app, proxy.connect().await).await;
}

#[tokio::test]
async fn a_connection_in_tls_that_rested_is_served_as_before() {
    let (acceptor, trusting) = tls();
    let app = App::start().await;
    let proxy = Proxy::entered_by(&app.url(), PATIENT, AppLimits::default(), |entrance| {
        entrance.with_tls(acceptor)
    })
    .await;
    let client = proxy.connect().await.secured(&trusting).await;
    asks_and_rests(&app, client).await;
}

async fn asks_and_rests<S: AsyncRead + AsyncWrite + Unpin>(app: &App, mut client: Peer<S>) {
    for pause in [3 * REST_AFTER, 3 * REST_AFTER, Duration::ZERO] {
        client.say("GET /x HTTP/1.1\r\n").await;
        sleep(pause).await;
        client.say("Host: d\r\n\r\n").await;
        let mut at_app = app.accept().await;
        assert!(at_app.hear("\r\n\r\n").await.starts_with("GET /x HTTP/1.1\r\n"));
        at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        client.hear("ok").await;
        sleep(pause).await;
    }
}

#[tokio::test]
async fn a_kept_connection_without_a_next_request() {
    let app = App::start().await;
    let clients = ClientLimits { keep_alive: 2 * MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    // A reply that takes longer than any limit on connections without requests.
    sleep(3 * MOMENT).await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
    assert!(client.is_left().await);
    counted(&proxy, "server.limits.keep_alive").await;
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let app = App::start().await;
    let clients = ClientLimits { header_size: 8192, header_count: 5, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say(&format!("GET / HTTP/1.1\r\nHost: d\r\nA: {}\r\n\r\n", "a".repeat(9000))).await;
    let reply = everything(&mut client).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    counted(&proxy, "server.limits.header_size").await;

    let mut client = proxy.connect().await;
    client.say(&format!("GET / HTTP/1.1\r\nHost: d\r\n{}\r\n", "A: a\r\n".repeat(20))).await;
    let reply = everything(&mut client).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

#[tokio::test]
async fn an_upload_that_stops() {
    let app = App::start().await;
    let clients = ClientLimits { receive_idle: MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut at_app = app.accept().await;
    at_app.hear("half").await;
    let reply = everything(&mut client).await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("\"code\":\"request_too_slow\""), "{reply}");
    // Its connection to the app goes with it.
    assert!(at_app.is_left().await);
    counted(&proxy, "server.limits.receive_idle").await;
}

#[tokio::test]
async fn an_upload_that_trickles() {
    let app = App::start().await;
    let clients = ClientLimits { rate: 1000, rate_grace: MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 800\r\n\r\n").await;
    let _at_app = app.accept().await;
    let trickle = async {
        while client.0.write_all(b"a").await.is_ok() {
            sleep(MOMENT / 10).await;
        }
    };
    timeout(PATIENCE, trickle).await.unwrap();
    counted(&proxy, "server.limits.rate").await;
}

#[tokio::test]
async fn a_slow_app_is_not_held_against_its_client() {
    let app = App::start().await;
    let clients = ClientLimits {
        receive_idle: MOMENT,
        send_idle: MOMENT,
        rate_grace: MOMENT,
        rate: 1 << 20,
        ..ClientLimits::default()
    };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    let size = 32 << 20;
    client.say(&format!("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: {size}\r\n\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    let body = vec![b'a'; size];
    let upload = async {
        client.0.write_all(&body).await.unwrap();
        client.hear("ok").await
    };
    let take = async {
        // Long enough for every limit, while the client's bytes are held up here.
        sleep(4 * MOMENT).await;
        let mut taken = vec![0; size];
        at_app.0.read_exact(&mut taken).await.unwrap();
        at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    };
    let (reply, ()) = tokio::join!(upload, take);
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
}

#[tokio::test]
async fn a_reply_that_nobody_takes() {
    let app = App::start().await;
    let clients = ClientLimits { send_idle: MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let chunk = vec![b'a'; 1 << 20];
    let pour = async { while at_app.0.write_all(&chunk).await.is_ok() {} };
    timeout(PATIENCE, pour).await.unwrap();
    counted(&proxy, "server.limits.send_idle").await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let app = App::start().await;
    let clients = ClientLimits { connections: 1, ..ClientLimits::default() };
    let proxy = proxy(&app, clients, AppLimits::default()).await;
    let first = proxy.connect().await;
    let mut second = proxy.connect().await;
    second.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    counted(&proxy, "server.limits.connections").await;
    assert!(timeout(MOMENT, app.accept()).await.is_err());
    drop(first);
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
}

#[tokio::test]
async fn more_requests_than_the_app_is_asked_to_bear() {
    let app = App::start().await;
    let of_app = AppLimits { requests: 1, queue: 1, ..AppLimits::default() };
    let proxy = proxy(&app, ClientLimits::default(), of_app).await;
    let mut first = proxy.connect().await;
    first.say("GET /1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
    first.hear("ha").await;

    // The first one's reply still runs, so the second waits, and for the third there is no place.
    let mut second = proxy.connect().await;
    second.say("GET /2 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    sleep(MOMENT).await;
    let mut third = proxy.connect().await;
    third.say("GET /3 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").await;
    let refused = everything(&mut third).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: "), "{refused}");
    counted(&proxy, "app.limits.requests").await;

    at_app.say("lf").await;
    first.hear("lf").await;
    let mut at_app = tokio::select! {
        again = app.accept() => again,
        _ = at_app.0.readable() => at_app,
    };
    let asked = at_app.hear("\r\n\r\n").await;
    assert!(asked.starts_with("GET /2 "), "{asked}");
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    second.hear("ok").await;
}

#[tokio::test]
async fn a_place_in_the_queue_is_not_for_ever() {
    let app = App::start().await;
    let of_app = AppLimits { requests: 1, queue_time: MOMENT, ..AppLimits::default() };
    let proxy = proxy(&app, ClientLimits::default(), of_app).await;
    let mut first = proxy.connect().await;
    first.say("GET /1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    let mut second = proxy.connect().await;
    second.say("GET /2 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").await;
    let refused = everything(&mut second).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    counted(&proxy, "app.limits.queue_time").await;
}

#[tokio::test]
async fn an_app_that_does_not_answer_or_stops() {
    let app = App::start().await;
    let of_app =
        AppLimits { first_byte: Some(MOMENT), reply_idle: Some(MOMENT), ..AppLimits::default() };
    let proxy = proxy(&app, ClientLimits::default(), of_app).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").await;
    let _silent = app.accept().await;
    let reply = everything(&mut client).await;
    assert!(reply.starts_with("HTTP/1.1 504 "), "{reply}");
    counted(&proxy, "app.limits.first_byte").await;

    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
    let reply = everything(&mut client).await;
    assert!(reply.ends_with("ha"), "{reply}");
    counted(&proxy, "app.limits.reply_idle").await;
}

const MOMENT: Duration = Duration::from_millis(300);
