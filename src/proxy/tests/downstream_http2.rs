//! HTTP/2 clients that want harm, frame by frame.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::http::downstream::{ClientLimits, Limits, REST_AFTER};

use crate::proxy::testing::{App, PATIENCE, PATIENT, Peer, Proxy};

/// RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
const NO_ERROR: [u8; 4] = [0, 0, 0, 0];
/// `POST http://d/` in HPACK.
const POST: &[u8] = b"\x83\x86\x84\x41\x01d";
/// `GET http://d/` in HPACK.
const GET: &[u8] = b"\x82\x86\x84\x41\x01d";

struct Http2(Peer);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Http2 {
    /// With this window for each stream.
    async fn connect(proxy: &Proxy, window: u32) -> Self {
        let mut peer = proxy.connect().await;
        peer.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
        peer.0.write_all(&frame(SETTINGS, 0, 0, &setting)).await.unwrap();
        Self(peer)
    }

    async fn get(&mut self, stream: u32) {
        self.say(HEADERS, END_HEADERS | END_STREAM, stream, GET).await;
    }

    async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.0.write_all(&frame(kind, flags, stream, payload)).await.unwrap();
    }

    async fn open(&mut self, stream: u32, window: u32) {
        self.say(WINDOW_UPDATE, 0, stream, &window.to_be_bytes()).await;
    }

    async fn next(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.0.0.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.0.read_exact(&mut payload).await?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of this kind.
    async fn hear(&mut self, kind: u8) -> Frame {
        let heard = async {
            loop {
                let frame = self.next().await.unwrap();
                if frame.kind == kind {
                    return frame;
                }
            }
        };
        timeout(PATIENCE, heard).await.unwrap()
    }
}

async fn proxy(app: &App, clients: ClientLimits) -> Proxy {
    Proxy::start(&app.url(), Limits { of_clients: clients, ..PATIENT }).await
}

async fn asked(app: &App) -> Peer {
    let mut at_app = app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app
}

fn struck(proxy: &Proxy, limit: &str) -> bool {
    proxy.metrics.render().contains(&format!("limit=\"server.limits.{limit}\"}} "))
}

#[tokio::test]
async fn a_stream_that_nobody_takes_ends_and_no_other() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits { send_idle: MOMENT, ..ClientLimits::default() }).await;
    let mut client = Http2::connect(&proxy, 0).await;
    client.get(1).await;
    let mut at_app = asked(&app).await;
    client.get(3).await;
    let mut at_app_too = asked(&app).await;
    at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello").await;
    let reset = client.hear(RST_STREAM).await;
    assert_eq!((reset.stream, reset.payload.as_slice()), (1, &CANCEL[..]));
    assert!(struck(&proxy, "send_idle"));
    // The app had its time meanwhile, and so has a stream that is asked for now.
    at_app_too.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.hear(HEADERS).await.stream, 3);
    client.get(5).await;
    let mut at_app = asked(&app).await;
    at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    client.open(5, 100).await;
    assert_eq!(client.hear(DATA).await.payload, b"ok");
}

#[tokio::test]
async fn a_long_reply_that_is_taken_in_part_ends() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits { send_idle: MOMENT, ..ClientLimits::default() }).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    client.get(1).await;
    let mut at_app = asked(&app).await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let chunk = vec![b'a'; 1 << 20];
    let pour = async { while at_app.0.write_all(&chunk).await.is_ok() {} };
    let (reset, ()) = tokio::join!(client.hear(RST_STREAM), pour);
    assert_eq!((reset.stream, reset.payload.as_slice()), (1, &CANCEL[..]));
    assert!(struck(&proxy, "send_idle"));
}

#[tokio::test]
async fn streams_that_are_taken_too_slowly_end() {
    let app = App::start().await;
    let clients = ClientLimits { rate: 1 << 20, rate_grace: MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients).await;
    let mut client = Http2::connect(&proxy, 0).await;
    client.get(1).await;
    let mut at_app = asked(&app).await;
    at_app
        .say(&format!("HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n{}", "a".repeat(30_000)))
        .await;
    client.open(1, 20).await;
    client.hear(RST_STREAM).await;
    assert!(struck(&proxy, "rate"));
}

#[tokio::test]
async fn a_client_that_takes_its_time_gets_all_of_it() {
    let app = App::start().await;
    let clients = ClientLimits { send_idle: 10 * MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients).await;
    let mut client = Http2::connect(&proxy, 0).await;
    client.get(1).await;
    let mut at_app = asked(&app).await;
    let body = "a".repeat(200_000);
    at_app.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{body}")).await;
    let mut taken = 0;
    let mut ended = false;
    while !ended {
        // Longer than the limit in all.
        sleep(MOMENT).await;
        client.open(1, 12_500).await;
        let mut window = 12_500.min(200_000 - taken);
        while window > 0 {
            let data = client.hear(DATA).await;
            taken += data.payload.len();
            window -= data.payload.len();
            ended |= data.flags & END_STREAM != 0;
        }
        ended |= taken == 200_000;
        client.open(0, 12_500).await;
    }
    assert_eq!(taken, 200_000);
    assert!(!struck(&proxy, "send_idle"));
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    let client = Http2::connect(&proxy, 65_535).await;
    let flood: Vec<u8> = (0..20_000)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            let get = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
            [get, frame(RST_STREAM, 0, stream, &CANCEL)].concat()
        })
        .collect();
    let (mut read, mut write) = client.0.0.into_split();
    let flooding = tokio::spawn(async move { write.write_all(&flood).await });
    let mut said = Vec::new();
    // What is still on its way when the connection is closed makes an error of its end.
    let _ = timeout(PATIENCE, read.read_to_end(&mut said)).await.unwrap();
    assert!(was_told_to_calm_down(&said));
    assert!(timeout(PATIENCE, flooding).await.unwrap().unwrap().is_err() || !said.is_empty());
    others_are_served(&app, &proxy).await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    client.say(HEADERS, END_STREAM, 1, GET).await;
    // Literals without a name that is known, each of 100 bytes.
    let line = [&b"\x00\x01x\x60"[..], &[b'a'; 96]].concat();
    let more = frame(CONTINUATION, 0, 1, &line.repeat(160));
    let (mut read, mut write) = client.0.0.into_split();
    let flooding = tokio::spawn(async move {
        let mut sent = 0;
        while sent < MOST && write.write_all(&more).await.is_ok() {
            sent += more.len();
        }
        sent
    });
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut said)).await.unwrap();
    let sent = timeout(PATIENCE, flooding).await.unwrap().unwrap();
    assert!(sent < MOST, "{sent}");
    others_are_served(&app, &proxy).await;
}

#[tokio::test]
async fn pings_between_requests_are_no_request() {
    let app = App::start().await;
    let clients =
        ClientLimits { header_time: MOMENT, keep_alive: 20 * MOMENT, ..ClientLimits::default() };
    let proxy = proxy(&app, clients).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    for stream in [1, 3] {
        client.get(stream).await;
        let mut at_app = asked(&app).await;
        at_app.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        assert_eq!(client.hear(HEADERS).await.stream, stream);
        client.open(0, 100).await;
        sleep(3 * MOMENT).await;
    }
    assert!(!struck(&proxy, "header_time"));
}

/// hyper's own server takes a reset that means no harm for the end of the body.
#[tokio::test]
async fn half_an_upload_is_none_whatever_its_client_says() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    for (stream, code) in [(1, NO_ERROR), (3, CANCEL)] {
        client.say(HEADERS, END_HEADERS, stream, POST).await;
        client.say(DATA, 0, stream, b"half").await;
        let mut at_app = asked(&app).await;
        at_app.hear("4\r\nhalf\r\n").await;
        client.say(RST_STREAM, 0, stream, &code).await;
        assert_eq!(at_app.hear_all().await, "");
    }
}

fn was_told_to_calm_down(mut said: &[u8]) -> bool {
    while let Some((head, rest)) = said.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { return false };
        if head[3] == GOAWAY && payload.get(4..8) == Some(&ENHANCE_YOUR_CALM) {
            return true;
        }
        said = rest;
    }
    false
}

async fn others_are_served(app: &App, proxy: &Proxy) {
    let mut client = proxy.connect().await;
    client.say("GET /other HTTP/1.1\r\nHost: d\r\n\r\n").await;
    // Behind those that the flood still made it to.
    let mut at_app = loop {
        let mut at_app = app.accept().await;
        let mut head = [0; 10];
        if at_app.0.read_exact(&mut head).await.is_ok() && head.starts_with(b"GET /other") {
            break at_app;
        }
    };
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
}

/// Its streams and its headers' table belong to the connection, and would be missed.
#[tokio::test]
async fn a_connection_never_rests() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    for stream in [1, 3, 5] {
        client.get(stream).await;
        let mut at_app = asked(&app).await;
        at_app.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        let heard = client.hear(DATA).await;
        assert_eq!((heard.stream, &heard.payload[..]), (stream, &b"ok"[..]));
        sleep(3 * REST_AFTER).await;
    }
}

/// `GET` with this `:path` and `:authority`, as they are, for the table of both ends.
fn get(path: &str, authority: &str) -> Vec<u8> {
    let literal = |index: u8, text: &str| {
        [&[0x40 | index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    [b"\x82\x86".to_vec(), literal(4, path), literal(1, authority)].concat()
}

#[tokio::test]
async fn what_is_refused_over_http1_is_refused_over_http2() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    for (path, authority, code) in [
        ("/folder/#x", "d", "target_unclear"),
        ("/folder/?a=b#", "d", "target_unclear"),
        ("?a", "d", "target_unclear"),
        ("/", "a,b", "host_unclear"),
        ("/", "me@d", "host_unclear"),
        ("/", "a;b", "host_unclear"),
    ] {
        let mut client = Http2::connect(&proxy, 65_535).await;
        client.say(HEADERS, END_HEADERS | END_STREAM, 1, &get(path, authority)).await;
        let reply = client.hear(HEADERS).await;
        // `:status: 400` has an index of its own.
        assert_eq!(reply.payload.first(), Some(&0x8c), "{path} {authority}");
        let told = client.hear(DATA).await.payload;
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(code), "{path} {authority}: {told}");
        // Both of the names again, by their index.
        client.say(HEADERS, END_HEADERS | END_STREAM, 3, b"\x82\x86\xbf\xbe").await;
        assert_eq!(client.hear(HEADERS).await.stream, 3);
        let told = String::from_utf8(client.hear(DATA).await.payload).unwrap();
        assert!(told.contains(code), "{path} {authority}: {told}");
    }
    for (path, authority) in
        [("folder", "d"), ("/", "d:80:81"), ("/", "a b"), ("/", ""), ("/", "a\\b"), ("/", "a\"b")]
    {
        let mut client = Http2::connect(&proxy, 65_535).await;
        client.say(HEADERS, END_HEADERS | END_STREAM, 1, &get(path, authority)).await;
        assert_eq!(client.hear(RST_STREAM).await.stream, 1, "{path} {authority}");
    }
    others_are_served(&app, &proxy).await;
}

#[tokio::test]
async fn a_fragment_is_found_in_a_head_of_several_frames() {
    let app = App::start().await;
    let proxy = proxy(&app, ClientLimits::default()).await;
    let mut client = Http2::connect(&proxy, 65_535).await;
    let head = get("/folder/#x", "d");
    let (first, rest) = head.split_at(7);
    let padded = [&[3, 0, 0, 0, 0, 15][..], first, &[0; 3]].concat();
    let frames = [
        frame(HEADERS, PADDED | PRIORITY | END_STREAM, 1, &padded),
        frame(CONTINUATION, 0, 1, b""),
        frame(CONTINUATION, END_HEADERS, 1, rest),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &get("/second", "d")),
    ];
    for byte in frames.concat() {
        client.0.0.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let told = String::from_utf8(client.hear(DATA).await.payload).unwrap();
    assert!(told.contains("target_unclear"), "{told}");
    assert_eq!(app.accept().await.hear("\r\n").await, "GET /second HTTP/1.1\r\n");
}

const MOMENT: Duration = Duration::from_millis(300);
/// Much more than any head may have.
const MOST: usize = 64 << 20;
