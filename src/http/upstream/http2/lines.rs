//! The connections that requests find room on.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use tokio::time::sleep;

use super::super::bare::LONGEST_HEAD;
use super::super::connect::Connector;
use super::super::connections::IDLE_TIMEOUT;
use super::alive::{greet, stay_alive};
use crate::http::BoxError;

/// The connections to one app.
pub(super) struct Lines {
    connector: Connector,
    open: Mutex<Vec<Arc<Line>>>,
    /// The one that is being made, and since when, whoever waits for it.
    next: Mutex<Option<(Attempt, Instant)>>,
    /// When the app last chose HTTP/1.1.
    declined: Mutex<Option<Instant>>,
}

pub(super) type Attempt = Shared<BoxFuture<'static, Result<Made, Arc<BoxError>>>>;

/// What came of an attempt.
#[derive(Clone)]
pub(super) enum Made {
    Open(Newest),
    /// The app does not speak HTTP/2 there.
    Declined,
}

/// A connection that others may have filled by now.
#[derive(Clone)]
pub(super) struct Newest(Weak<Line>);

/// A connection.
struct Line {
    sender: SendRequest<Bytes>,
    /// It takes no more requests.
    over: Arc<AtomicBool>,
    /// It has brought a reply.
    proven: AtomicBool,
    load: Mutex<Load>,
}

struct Load {
    streams: usize,
    idle_since: Instant,
}

/// A request's room on a connection, until this is dropped.
pub(super) struct Slot {
    line: Arc<Line>,
    /// The connection had been of use before.
    reused: bool,
}

impl Lines {
    pub(super) fn new(connector: Connector) -> Self {
        let (open, next, declined) = Default::default();
        Self { connector, open, next, declined }
    }

    /// A slot on a connection that was idle for less than this.
    pub(super) fn enter(&self, idle_limit: Duration) -> Option<Slot> {
        let mut open = lock(&self.open);
        open.retain(|line| line.is_of_use());
        open.iter().find_map(|line| line.enter(idle_limit))
    }

    /// Whether the app chose HTTP/1.1 a while ago.
    pub(super) fn are_declined(&self) -> bool {
        lock(&self.declined).is_some_and(|since| since.elapsed() < DECLINED_FOR)
    }

    /// The attempt that is under way, unless it takes long, or another one. It goes on if all who wait for it leave.
    pub(super) fn attempt(self: &Arc<Self>) -> Attempt {
        let mut next = lock(&self.next);
        if let Some((attempt, since)) = next.as_ref()
            && attempt.peek().is_none()
            && since.elapsed() < LONG
        {
            return attempt.clone();
        }
        let connecting = tokio::spawn(Arc::clone(self).connect());
        let attempt = connecting.map(|ended| match ended {
            Ok(connected) => connected.map_err(Arc::new),
            Err(error) => Err(Arc::new(error.into())),
        });
        let attempt = attempt.boxed().shared();
        *next = Some((attempt.clone(), Instant::now()));
        attempt
    }

    async fn connect(self: Arc<Self>) -> Result<Made, BoxError> {
        let (stream, speaks_http2) = self.connector.connect_http2().await?;
        if !speaks_http2 {
            tracing::debug!("the app does not offer HTTP/2; HTTP/1.1 is used for a while");
            *lock(&self.declined) = Some(Instant::now());
            return Ok(Made::Declined);
        }
        let (sender, mut connection) = settings().handshake(stream).await?;
        let pings = greet(&mut connection).await?;
        let over = Arc::new(AtomicBool::new(false));
        let load = Mutex::new(Load { streams: 0, idle_since: Instant::now() });
        let (shared, proven) = (Arc::clone(&over), AtomicBool::new(false));
        let line = Arc::new(Line { sender, over: shared, proven, load });
        let (made, used) = (Newest(Arc::downgrade(&line)), Arc::downgrade(&line));
        lock(&self.open).push(line);
        let lines = Arc::downgrade(&self);
        tokio::spawn(async move {
            // Without a sender, it ends with its last stream.
            let is_used = move || used.upgrade().is_some_and(|line| lock(&line.load).streams > 0);
            let ended = tokio::select! {
                ended = stay_alive(connection, pings, is_used) => ended,
                never = sweep(lines) => match never {},
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP/2 connection to the app broke off");
            }
            over.store(true, Ordering::Release);
        });
        Ok(Made::Open(made))
    }
}

impl Newest {
    /// Whether it is of use to somebody.
    pub(super) fn is_of_use(&self) -> bool {
        self.0.upgrade().is_some_and(|line| line.is_of_use() && line.room() > 0)
    }
}

/// Closes what was idle for too long, even when nobody asks for more.
async fn sweep(lines: Weak<Lines>) -> Infallible {
    while let Some(lines) = lines.upgrade() {
        lock(&lines.open).retain(|line| line.is_of_use());
        drop(lines);
        sleep(IDLE_TIMEOUT).await;
    }
    pending().await
}

fn settings() -> Builder {
    let mut settings = Builder::new();
    settings
        .enable_push(false)
        .initial_window_size(WINDOW)
        // A client that takes nothing of its reply keeps nobody else's on this connection back.
        .initial_connection_window_size(WINDOW * MAX_STREAMS)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(LONGEST_HEAD);
    settings
}

impl Line {
    /// For how many requests at a time.
    fn room(&self) -> usize {
        self.sender.current_max_send_streams().min(MAX_STREAMS as usize)
    }

    fn is_of_use(&self) -> bool {
        let load = lock(&self.load);
        let fresh = load.streams > 0 || load.idle_since.elapsed() < IDLE_TIMEOUT;
        fresh && !self.over.load(Ordering::Acquire)
    }

    fn enter(self: &Arc<Self>, idle_limit: Duration) -> Option<Slot> {
        let room = self.room();
        let mut load = lock(&self.load);
        let fresh = load.streams > 0 || load.idle_since.elapsed() < idle_limit;
        (fresh && load.streams < room).then(|| {
            load.streams += 1;
            Slot { line: Arc::clone(self), reused: self.proven.load(Ordering::Relaxed) }
        })
    }
}

impl Slot {
    /// Sends a head, and with `is_all` the end. `None` if the connection takes no more requests.
    ///
    /// # Errors
    /// The head is none.
    pub(super) async fn begin(
        &self,
        head: Request<()>,
        is_all: bool,
    ) -> Result<Option<(ResponseFuture, SendStream<Bytes>)>, h2::Error> {
        // It breaks off, is about to be closed, or has no more numbers for streams.
        let Ok(mut sender) = self.line.sender.clone().ready().await else {
            return Ok(self.is_over());
        };
        match sender.send_request(head, is_all) {
            Ok(begun) => Ok(Some(begun)),
            Err(error) if error.is_io() || error.is_go_away() => Ok(self.is_over()),
            Err(error) => Err(error),
        }
    }

    /// A reply is here.
    pub(super) fn note_reply(&self) {
        self.line.proven.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    fn is_over<T>(&self) -> Option<T> {
        self.line.over.store(true, Ordering::Release);
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut load = lock(&self.line.load);
        load.streams -= 1;
        load.idle_since = Instant::now();
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On one connection, whatever more the app would take, so that one loss does not take everything along.
const MAX_STREAMS: u32 = 100;
/// Bytes of a reply that may be on their way or wait for its client: 256 KiB take 200 Mbit/s over 10 ms.
const WINDOW: u32 = 256 << 10;
/// Bytes of a request's body that are kept for a connection which takes nothing.
const SEND_BUFFER: usize = 64 << 10;
/// An attempt that takes as long may be one with a host that is no more. Another is made beside it.
pub(super) const LONG: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });
/// An app that chose HTTP/1.1 is asked again after this time, since it may be another by then.
const DECLINED_FOR: Duration = Duration::from_secs(60);
