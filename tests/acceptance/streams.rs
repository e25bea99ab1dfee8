//! What lasts: sockets, events, large bodies and many requests at once, through the binary.

use std::convert::Infallible;
use std::sync::Mutex;

use axum::body::Body;
use futures_util::{SinkExt, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{accept_async, connect_async};

use crate::support::app::{App, reply};
use crate::support::missing::missing;
use crate::support::{Form, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_carries_a_thousand_messages_each_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with("").app_at(listener.local_addr().unwrap()).start(Form::Binary).await;
    let app = tokio::spawn(async move {
        let mut closes = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                match message {
                    Message::Text(text) if text == "close" => {
                        let frame = CloseFrame { code: 4002.into(), reason: "enough".into() };
                        socket.close(Some(frame)).await.unwrap();
                    }
                    Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
                    Message::Close(frame) => closes.push(frame.map(|frame| u16::from(frame.code))),
                    _ => {}
                }
            }
        }
        closes
    });

    let url = format!("ws://{}/socket", world.address);
    let (mut socket, reply) = connect_async(&url).await.unwrap();
    assert_eq!(reply.status(), 101);
    for n in 0..1000_usize {
        let message = match n % 2 {
            0 => Message::text(format!("message {n}")),
            _ => Message::binary(vec![n as u8; (n * n) % 70_000]),
        };
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message, "{n}");
        if n % 100 == 0 {
            socket.send(Message::Ping(n.to_string().into())).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(n.to_string().into()));
        }
    }
    // Both directions full at once.
    let (mut sender, mut receiver) = socket.split();
    let (sent, ()) = tokio::join!(
        async {
            for n in 0..1000 {
                sender.send(Message::text(format!("{n}"))).await.unwrap();
            }
            sender
        },
        async {
            for n in 0..1000 {
                assert_eq!(receiver.next().await.unwrap().unwrap(), Message::text(format!("{n}")));
            }
        }
    );
    let mut socket = sent.reunite(receiver).unwrap();
    let frame = CloseFrame { code: 4001.into(), reason: "bye".into() };
    socket.close(Some(frame.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(frame)));

    let (mut socket, _) = connect_async(&url).await.unwrap();
    socket.send(Message::text("close")).await.unwrap();
    let frame = CloseFrame { code: 4002.into(), reason: "enough".into() };
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(frame)));
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(app.await.unwrap(), [Some(4001), Some(4002)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_arrives_before_the_next_is_sent() {
    let (events, queue) = mpsc::channel::<String>(1);
    let queue = Mutex::new(Some(queue));
    let app = App::answering(move |_, _| {
        let queue = queue.lock().unwrap().take().expect("one listener");
        let events = stream::unfold(queue, |mut queue| async {
            let event = queue.recv().await?;
            Some((Ok::<_, Infallible>(event), queue))
        });
        reply(200, &[("content-type", "text/event-stream")], Body::from_stream(events))
    });
    let world = World::with("").app(app).start(Form::Binary).await;
    let mut listener = world.get_as("ann", "/events").await;
    for n in 0..200 {
        let event = format!("id: {n}\ndata: {}\n\n", "x".repeat(n));
        events.send(event.clone()).await.unwrap();
        let mut heard = Vec::new();
        while heard.len() < event.len() {
            heard.extend(listener.chunk().await.unwrap().expect("an event"));
        }
        assert_eq!(heard, event.as_bytes());
    }
    drop(events);
    assert_eq!(listener.chunk().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_whole_both_ways() {
    let app = App::answering(|_, seen| reply(200, &[], seen.body.clone()));
    let world = World::with("").app(app).start(Form::Binary).await;
    let body: Vec<u8> = (0..64 << 17_u64).flat_map(|n: u64| n.to_le_bytes()).collect();
    assert_eq!(body.len(), 64 << 20);
    let sent = body.clone();
    let echo = world.request(reqwest::Method::POST, "/echo").body(sent).send().await.unwrap();
    assert!(echo.bytes().await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2load_sees_no_request_fail() {
    if Command::new("h2load").arg("--version").output().await.is_err() {
        missing("h2load is not installed (Debian package nghttp2-client)");
        return;
    }
    let app = App::answering(|_, _| reply(200, &[], "x".repeat(20_000)));
    let world = World::with("").app(app).start(Form::Binary).await;
    for mode in [&["-m", "20"][..], &["--h1"], &["-m", "20", "-w", "10", "-W", "12"]] {
        let load = Command::new("h2load")
            .args(["-n", "2000", "-c", "10"])
            .args(mode)
            .arg(world.url("/"))
            .output()
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&load.stdout);
        let all = "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored";
        assert!(told.contains(all), "{mode:?}: {told}");
        assert!(told.contains("2000 2xx"), "{mode:?}: {told}");
    }
}
