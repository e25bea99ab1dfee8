//! Clients behind a proxy that says who they are.
#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, timeout};

use crate::config::AppLimits;
use crate::http::downstream::{ClientLimits, Entrance, Limits};

use crate::proxy::testing::{App, PATIENCE, PATIENT, Proxy, tls};

const V2_IPV4: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// With an id of its own and the name that a client asked TLS for.
const V2_TLVS: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1a\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\x01\xbb\
    \x05\0\x02id\x02\0\x06d.test";

/// Before the app, trusting these in what they say of their clients.
async fn behind(networks: &[&str], app: &App, clients: ClientLimits) -> Proxy {
    let networks: Vec<_> = networks.iter().map(|network| network.parse().unwrap()).collect();
    let limits = Limits { of_clients: clients, ..PATIENT };
    let change = |entrance: Entrance| entrance.with_proxies(&networks);
    Proxy::entered_by(&app.url(), limits, AppLimits::default(), change).await
}

/// Whom the app takes for the client of a request behind this.
async fn client_told(app: &App, proxy: &Proxy, header: &[u8]) -> String {
    let mut client = proxy.connect().await;
    client.0.write_all(header).await.unwrap();
    client.say("GET / HTTP/1.1\r\nHost: d\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n").await;
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
    let told = head.lines().find_map(|line| line.strip_prefix("x-forwarded-for: "));
    told.unwrap_or_else(|| panic!("{head}")).to_owned()
}

#[tokio::test]
async fn the_client_is_whom_the_proxy_names() {
    let app = App::start().await;
    let proxy = behind(&["127.0.0.0/8"], &app, ClientLimits::default()).await;
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"[..], "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (V2_IPV4, "192.0.2.7"),
        (V2_TLVS, "192.0.2.7"),
        (V2_LOCAL, "127.0.0.1"),
    ] {
        assert_eq!(client_told(&app, &proxy, header).await, client);
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces() {
    let app = App::start().await;
    let proxy = behind(&["127.0.0.0/8"], &app, ClientLimits::default()).await;
    for header in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"[..], V2_TLVS] {
        let bytes = [header, b"GET / HTTP/1.1\r\nHost: d\r\n\r\n"].concat();
        for at in 1..bytes.len() {
            let mut client = proxy.connect().await;
            client.0.set_nodelay(true).unwrap();
            let (first, second) = bytes.split_at(at);
            client.0.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            client.0.write_all(second).await.unwrap();
            let head = app.accept().await.hear("\r\n\r\n").await;
            assert!(head.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "at {at}: {head}");
        }
    }
}

#[tokio::test]
async fn without_a_header_a_proxy_is_not_served() {
    let app = App::start().await;
    let proxy = behind(&["127.0.0.1/32"], &app, ClientLimits::default()).await;
    let long = [&V2_IPV4[..14], b"\xff\xff", &[0; 5000]].concat();
    for header in [
        &b"GET /none HTTP/1.1\r\nHost: d\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n",
        &long,
    ] {
        let mut client = proxy.connect().await;
        // It may be gone before it has all of this.
        let _ = client.0.write_all(header).await;
        let _ = client.0.write_all(b"GET /behind HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut said = Vec::new();
        let _ = timeout(PATIENCE, client.0.read_to_end(&mut said)).await.unwrap();
        assert_eq!(said, b"", "{:?}", String::from_utf8_lossy(header));
    }
    // None of them came through.
    let told = client_told(&app, &proxy, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n").await;
    assert_eq!(told, "192.0.2.7");
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let (acceptor, trusting) = tls();
    let app = App::start().await;
    let networks = ["127.0.0.0/8".parse().unwrap()];
    let change = |entrance: Entrance| entrance.with_proxies(&networks).with_tls(acceptor);
    let proxy = Proxy::entered_by(&app.url(), PATIENT, AppLimits::default(), change).await;
    for header in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"[..], V2_TLVS] {
        let mut client = proxy.connect().await;
        client.0.write_all(header).await.unwrap();
        let mut client = client.secured(&trusting).await;
        client.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let head = app.accept().await.hear("\r\n\r\n").await;
        for told in ["x-forwarded-for: 192.0.2.7\r\n", "x-forwarded-proto: https\r\n"] {
            assert!(head.contains(told), "{head}");
        }
    }
}

#[tokio::test]
async fn others_are_ordinary_clients() {
    let app = App::start().await;
    let proxy = behind(&["10.0.0.0/8", "::1/128"], &app, ClientLimits::default()).await;
    assert_eq!(client_told(&app, &proxy, b"").await, "127.0.0.1");
    let mut client = proxy.connect().await;
    client.say("PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(client.hear("\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_not_waited_for() {
    let app = App::start().await;
    let clients =
        ClientLimits { header_time: Duration::from_millis(300), ..ClientLimits::default() };
    let proxy = behind(&["127.0.0.1/32"], &app, clients).await;
    for said in ["", "PROXY TCP4"] {
        let mut client = proxy.connect().await;
        client.say(said).await;
        assert!(client.is_left().await, "{said:?}");
    }
    let struck = "transom_limits_reached_total{limit=\"server.limits.header_time\"} 2";
    assert!(proxy.metrics.render().contains(struck), "{}", proxy.metrics.render());
}
