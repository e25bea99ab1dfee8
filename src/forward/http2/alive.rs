//! Finds out about an app that vanished without a word.

use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::super::body::BoxError;

/// Runs a connection to its end.
///
/// # Errors
/// It broke off, or the app answered no ping while requests waited for it.
pub(super) async fn stay_alive<I>(
    mut connection: Connection<I, Bytes>,
    is_used: impl Fn() -> bool,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let Some(pings) = connection.ping_pong() else { return Ok(connection.await?) };
    tokio::select! {
        ended = connection => Ok(ended?),
        vanished = await_silence(pings, is_used) => Err(vanished),
    }
}

async fn await_silence(mut pings: PingPong, is_used: impl Fn() -> bool) -> BoxError {
    loop {
        sleep(PING_INTERVAL).await;
        if !is_used() {
            continue;
        }
        match timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return format!("no answer to a ping within {PING_TIMEOUT:?}").into(),
        }
    }
}

const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
