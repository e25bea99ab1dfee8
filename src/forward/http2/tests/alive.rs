//! Apps that vanish.
#![allow(clippy::unwrap_used)]

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::super::alive::stay_alive;

const HOURS: Duration = Duration::from_secs(10_000);

/// A connection and what is at its other end.
async fn connected() -> (h2::client::Connection<DuplexStream, Bytes>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    let (sender, connection) = h2::client::handshake(ours).await.unwrap();
    tokio::spawn(async move {
        let _sender = sender;
        pending::<()>().await;
    });
    (connection, theirs)
}

#[tokio::test(start_paused = true)]
async fn an_app_that_answers_no_ping_is_given_up_while_requests_wait() {
    let (connection, _silent) = connected().await;
    let ended = timeout(HOURS, stay_alive(connection, || true)).await.unwrap();
    assert!(ended.unwrap_err().to_string().contains("no answer to a ping"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_it_otherwise() {
    let (connection, _silent) = connected().await;
    assert!(timeout(HOURS, stay_alive(connection, || false)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_is_kept() {
    let (connection, theirs) = connected().await;
    tokio::spawn(async move {
        let mut app = h2::server::handshake(theirs).await.unwrap();
        app.accept().await.is_none()
    });
    assert!(timeout(HOURS, stay_alive(connection, || true)).await.is_err());
}
