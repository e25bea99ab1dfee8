//! One line for each request, and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::support::{Form, World, app, files, tokens};

async fn world() -> (World, PathBuf) {
    let world =
        World::usual().server_settings("access_log = \"access.log\"").start(Form::Binary).await;
    let log = world.dir().join("access.log");
    (world, log)
}

/// The line about this path, once it is there.
async fn line(log: &PathBuf, path: &str) -> Value {
    lines(log, path, 1).await.remove(0)
}

/// So many lines about this path, once they are there.
async fn lines(log: &PathBuf, path: &str, wanted: usize) -> Vec<Value> {
    let mut text = String::new();
    for _ in 0..200 {
        text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<Value> = lines.filter(|line| line["path"] == path).collect();
        if found.len() >= wanted {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} is not in\n{text}");
}

fn told(line: &Value) -> (u64, &str, Option<&str>, &str) {
    let status = line["status"].as_u64().unwrap_or(0);
    (status, line["lane"].as_str().unwrap(), line["code"].as_str(), line["end"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lane_is_told_with_its_reason() {
    let (world, log) = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    let upload = line(&log, "/api/files").await;
    assert_eq!(told(&upload), (201, "capture", Some("captured"), "complete"));
    assert!(upload["received"].as_u64().unwrap() > files::pdf("a.pdf").len() as u64, "{upload}");
    assert_eq!(upload["sent"], "{\"data\":{\"id\":1}}".len());
    assert_eq!(upload["client"], "127.0.0.1");
    assert_eq!(upload["method"], "POST");
    assert_eq!(upload["protocol"], "HTTP/1.1");
    assert!(upload["ms"].as_f64().unwrap() > 0.0);
    let seen = world.app.last(&Method::POST, "/api/files");
    assert_eq!(upload["request_id"], seen.headers["x-request-id"].to_str().unwrap());
    world.settled().await;

    let secret = world.request_as("ann", Method::GET, "/elsewhere?token=hidden");
    secret.header("user-agent", "a \"browser\"").send().await.unwrap();
    let passed = line(&log, "/elsewhere").await;
    assert_eq!(told(&passed), (404, "pass", None, "complete"));
    assert_eq!(passed["sent"], "nothing here".len());
    assert_eq!(passed["user_agent"], "a \"browser\"");

    let path = format!("/api/files/{id}");
    let body = world.get_as("ann", &path).await.text().await.unwrap();
    let view = line(&log, &path).await;
    assert_eq!(told(&view), (200, "view", Some("session_given"), "complete"));
    assert_eq!(view["sent"], body.len());

    let path = format!("/.transom/session/files/{id}");
    world.get_as("bob", &path).await.text().await.unwrap();
    assert_eq!(told(&line(&log, &path).await), (403, "own", Some("denied_by_app"), "complete"));

    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("hidden") && !text.contains("eyJ"), "{text}");
    // One line per request of a client; those that Transom itself sent are none.
    assert_eq!(text.lines().count(), 4, "{text}");
    let metrics = world.metrics().await;
    assert!(metrics.contains("transom_access_lines_total{result=\"written\"} 4\n"), "{metrics}");
    assert!(metrics.contains("transom_access_lines_total{result=\"dropped\"} 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_broke_off_is_told() {
    let (world, log) = world().await;
    let heard = Arc::new(Notify::new());
    let on = heard.clone();
    world.app.answers(move |_, seen| {
        let (on, endless) = (on.clone(), seen.uri.path() == "/endless");
        let rest = futures_util::stream::once(async move {
            match endless {
                true => std::future::pending().await,
                false => on.notified().await,
            }
            Err(std::io::Error::other("the app is gone"))
        });
        let first = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"half"))]);
        app::reply(200, &[], axum::body::Body::from_stream(first.chain(rest)))
    });
    let ask = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\n\r\n",
            tokens::for_user("ann")
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        while !reply.windows(4).any(|window| window == b"half") {
            reply.push(stream.read_u8().await.unwrap());
        }
        stream
    };
    drop(ask("/endless").await);
    let cut = line(&log, "/endless").await;
    assert_eq!(told(&cut), (200, "pass", None, "cut"));
    assert_eq!(cut["sent"], 4);
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let mut reply = http2.get(world.url("/endless?http2")).send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "half");
    drop((reply, http2));
    let cut = lines(&log, "/endless", 2).await.remove(1);
    assert_eq!((told(&cut), &cut["protocol"]), ((200, "pass", None, "cut"), &"HTTP/2".into()));
    assert_eq!(cut["sent"], 4);
    let mut broken = ask("/broken").await;
    heard.notify_one();
    broken.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(told(&line(&log, "/broken").await), (200, "pass", None, "failed"));

    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let refused =
        "POST /unclear HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(refused.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(
        told(&line(&log, "/unclear").await),
        (501, "pass", Some("coding_unknown"), "complete")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_to_a_rotation_or_a_stop() {
    let (mut world, log) = world().await;
    let old = world.dir().join("access.log.1");
    for number in 0..400 {
        world.get_as("ann", &format!("/r/{number}")).await;
        if number == 200 {
            line(&log, "/r/0").await;
            std::fs::rename(&log, &old).unwrap();
        }
    }
    assert!(world.stop().await.success());
    let text = [&old, &log].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    assert_eq!(text.lines().count(), 400);
    assert!(std::fs::read_to_string(&log).unwrap().lines().count() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_will_do() {
    let world = World::usual().server_settings("access_log = \"stdout\"").start(Form::Binary).await;
    world.get_as("ann", "/somewhere").await;
    world.logged("\"path\":\"/somewhere\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_lines_and_nothing_else() {
    let world =
        World::usual().server_settings("access_log = \"/dev/full\"").start(Form::Binary).await;
    assert_eq!(world.get_as("ann", "/somewhere").await.text().await.unwrap(), "nothing here");
    for _ in 0..200 {
        if world.metrics().await.contains("transom_access_lines_total{result=\"dropped\"} 1\n") {
            world.logged("No space left on device").await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", world.metrics().await);
}
