//! The end of a connection whose client is still sending.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Duration, timeout};

use super::resting::Line;

/// Hears the client out, and keeps nothing of it. A socket that is closed with bytes unread resets its connection,
/// and the reset overtakes the reply that the client should read (RFC 9112 section 9.6).
pub(super) async fn linger<I: AsyncRead + AsyncWrite + Unpin>(mut line: Line<I>) {
    let mut unheard = vec![0; PIECE];
    let hearing =
        async { while let Ok(Ok(1..)) = timeout(SILENCE, line.read(&mut unheard)).await {} };
    let _ = timeout(LONGEST, hearing).await;
}

const PIECE: usize = 16 * 1024;
/// By then whoever reads at all has read, and a client that was cut off for being slow gains nothing by it.
const LONGEST: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(5);
