//! An app that fails in every way of HTTP/2, where one connection's end is that of many requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::faults::{Faults, Spared, everybody_gets_an_answer, listens};

/// The path's second segment says how many bytes of the reply come before. The last two end a connection.
const USUAL: &[&str] = &[
    "whole",
    "whole",
    "whole",
    "whole",
    "whole",
    "whole",
    "whole",
    "whole",
    "dribbled",
    "trailers",
    "hints",
    "refused",
    "reset",
    "reset",
    "cancelled",
    "no_error",
    "early",
    "deaf",
    "short",
    "two_lengths",
    "then_go_away",
    "close",
    "garbage",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_fail_at_random() {
    let usual = &USUAL[..USUAL.len() - 2];
    let faults = Faults { usual, rare: &["stall"], spared: Spared::Everybody, requests: 3_000 };
    everybody_gets_an_answer(listens(serve).await, "http2 = true", faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fail_at_random() {
    let faults = Faults { usual: USUAL, rare: &["stall"], spared: Spared::Nobody, requests: 3_000 };
    everybody_gets_an_answer(listens(serve).await, "http2 = true", faults).await;
}

/// What one request does to all of its connection.
#[derive(Default)]
struct Fate {
    garbage: AtomicBool,
    goes_away: Notify,
    close: Notify,
}

async fn serve(stream: TcpStream) {
    let fate = Arc::new(Fate::default());
    let stream = Spoilt { stream, fate: Arc::clone(&fate) };
    let mut settings = h2::server::Builder::new();
    let Ok(mut connection) = settings.max_concurrent_streams(8).handshake(stream).await else {
        return;
    };
    tokio::select! {
        () = answer_all(&mut connection, &fate) => {}
        () = fate.close.notified() => {}
    }
}

async fn answer_all(connection: &mut Connection<Spoilt, Bytes>, fate: &Arc<Fate>) {
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, reply))) => drop(tokio::spawn(fail(request, reply, fate.clone()))),
                _ => return,
            },
            () = fate.goes_away.notified() => connection.graceful_shutdown(),
        }
    }
}

/// `None` when the other end is gone.
async fn fail(
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
    fate: Arc<Fate>,
) -> Option<()> {
    let mut path = request.uri().path().split('/').skip(1);
    let (fault, cut) = (path.next()?.to_owned(), path.next()?.parse::<usize>().ok()?);
    let (length, is_head) = (cut + 1, request.method() == "HEAD");
    let mut upload = request.into_body();
    match fault.as_str() {
        "refused" => {
            reply.send_reset(Reason::REFUSED_STREAM);
            return Some(());
        }
        "early" => {
            let no = Response::builder().status(413).body(()).unwrap();
            let mut body = reply.send_response(no, is_head).ok()?;
            return if is_head { Some(()) } else { body.send_data("no".into(), true).ok() };
        }
        "deaf" => {}
        _ => {
            while let Some(data) = upload.data().await {
                upload.flow_control().release_capacity(data.ok()?.len()).ok()?;
            }
        }
    }
    match fault.as_str() {
        "reset" if cut % 2 == 0 => {
            reply.send_reset(Reason::INTERNAL_ERROR);
            return Some(());
        }
        "stall" if cut % 2 == 0 => {
            sleep(PAST_ALL_LIMITS).await;
            return Some(());
        }
        "garbage" => fate.garbage.store(true, Relaxed),
        "hints" => {
            for _ in 0..cut % 7 {
                let hints = Response::builder().status(103).header("link", "</a.css>");
                reply.send_informational(hints.body(()).unwrap()).ok()?;
            }
        }
        _ => {}
    }
    let mut head = Response::builder().header("x-length", length);
    head = match fault.as_str() {
        "trailers" => head,
        "short" => head.header("content-length", length + 1),
        "two_lengths" => head.header("content-length", length).header("content-length", length + 1),
        _ => head.header("content-length", length),
    };
    let mut body = reply.send_response(head.body(()).unwrap(), is_head).ok()?;
    if !is_head {
        send(&mut body, &fault, length).await?;
    }
    match fault.as_str() {
        "then_go_away" => fate.goes_away.notify_one(),
        "close" => fate.close.notify_one(),
        _ => {}
    }
    Some(())
}

/// A body of this length, or what becomes of it.
async fn send(body: &mut SendStream<Bytes>, fault: &str, length: usize) -> Option<()> {
    let (whole, half) = ("b".repeat(length), "b".repeat(length / 2));
    match fault {
        "dribbled" => {
            for byte in whole.bytes() {
                body.send_data(vec![byte].into(), false).ok()?;
                tokio::task::yield_now().await;
            }
            body.send_data(Bytes::new(), true).ok()
        }
        "trailers" => {
            body.send_data(whole.into(), false).ok()?;
            let sum = ("x-sum".parse().unwrap(), "1".parse().unwrap());
            body.send_trailers(HeaderMap::from_iter([sum])).ok()
        }
        "reset" | "cancelled" | "no_error" | "close" | "stall" => {
            body.send_data(half.into(), false).ok()?;
            match fault {
                "reset" => body.send_reset(Reason::INTERNAL_ERROR),
                "cancelled" => body.send_reset(Reason::CANCEL),
                "no_error" => body.send_reset(Reason::NO_ERROR),
                "stall" => sleep(PAST_ALL_LIMITS).await,
                _ => {}
            }
            Some(())
        }
        _ => body.send_data(whole.into(), true).ok(),
    }
}

/// A connection on which everything is garbage from some moment on.
struct Spoilt {
    stream: TcpStream,
    fate: Arc<Fate>,
}

impl AsyncRead for Spoilt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Spoilt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let garbage = bytes.iter().map(|byte| byte.wrapping_mul(31) ^ 0xa5).collect::<Vec<_>>();
        let bytes = if self.fate.garbage.load(Relaxed) { &garbage } else { bytes };
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Of those that are set for the app.
const PAST_ALL_LIMITS: Duration = Duration::from_secs(6);
