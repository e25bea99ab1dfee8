//! Apps that vanish.
#![allow(clippy::unwrap_used)]

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use h2::PingPong;
use h2::client::Connection;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::alive::{greet, stay_alive};

const HOURS: Duration = Duration::from_secs(10_000);

type Ours = Connection<DuplexStream, Bytes>;
type Theirs = h2::server::Connection<DuplexStream, Bytes>;

/// Both ends of a connection, once it was greeted.
async fn connected() -> (Ours, PingPong, Theirs) {
    let (ours, theirs) = duplex(1 << 16);
    let (sender, mut connection) = h2::client::handshake(ours).await.unwrap();
    tokio::spawn(async move {
        let _sender = sender;
        pending::<()>().await;
    });
    let greeted = async {
        let pings = greet(&mut connection).await.unwrap();
        (connection, pings)
    };
    let app = async {
        let mut app = h2::server::handshake(theirs).await.unwrap();
        // Until the ping is answered.
        let _ = timeout(MOMENT, app.accept()).await;
        app
    };
    let ((connection, pings), app) = tokio::join!(greeted, app);
    (connection, pings, app)
}

#[tokio::test(start_paused = true)]
async fn an_app_that_answers_no_ping_is_given_up_while_requests_wait() {
    let (connection, pings, _silent) = connected().await;
    let ended = timeout(HOURS, stay_alive(connection, pings, || true)).await.unwrap();
    assert!(ended.unwrap_err().to_string().contains("no answer to a ping"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_it_otherwise() {
    let (connection, pings, _silent) = connected().await;
    assert!(timeout(HOURS, stay_alive(connection, pings, || false)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_is_kept() {
    let (connection, pings, mut app) = connected().await;
    tokio::spawn(async move { app.accept().await.is_none() });
    assert!(timeout(HOURS, stay_alive(connection, pings, || true)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_nothing_is_waited_for_until_it_closes() {
    let (ours, theirs) = duplex(1 << 16);
    let (_sender, mut connection) = h2::client::handshake(ours).await.unwrap();
    let greeting = greet(&mut connection);
    tokio::pin!(greeting);
    assert!(timeout(HOURS, &mut greeting).await.is_err());
    drop(theirs);
    assert!(timeout(HOURS, greeting).await.unwrap().is_err());
}

/// Of a clock that stands still while anything happens.
const MOMENT: Duration = Duration::from_millis(1);
