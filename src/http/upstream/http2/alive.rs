//! Finds out about an app that vanished without a word.

use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use crate::http::BoxError;

/// Waits until the app has answered on a new connection, so that what it has said of itself is known and no request
/// is the one that finds out that it speaks something else. It may have much to do: whoever waits has a limit.
///
/// # Errors
/// It does not speak HTTP/2, or closes the connection.
pub(super) async fn greet<I>(connection: &mut Connection<I, Bytes>) -> Result<PingPong, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let Some(mut pings) = connection.ping_pong() else { return Err("greeted before".into()) };
    tokio::select! {
        ended = connection => Err(ended.err().map_or_else(|| "closed at once".into(), Into::into)),
        pong = pings.ping(Ping::opaque()) => Ok(pong.map(|_| pings)?),
    }
}

/// Runs a connection that was greeted to its end.
///
/// # Errors
/// It broke off, or the app answered no ping while requests waited for it.
pub(super) async fn stay_alive<I>(
    connection: Connection<I, Bytes>,
    pings: PingPong,
    is_used: impl Fn() -> bool,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
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
