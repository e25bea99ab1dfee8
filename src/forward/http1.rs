//! HTTP/1.1 to the app: one request after another on each connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use super::body::{AppReply, BoxError, RequestBody, Way};
use super::connect::Connector;
use super::pool::{Pool, keep_alive_timeout};
use super::stream::AppStream;

/// Connections of one kind.
pub(crate) struct Http1 {
    connector: Connector,
    driven: Driven,
    pool: Arc<Pool>,
}

/// Who does the reading and writing of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// Whoever awaits the reply and then reads it, which saves two changes of task per request. The connection
    /// [remembers](AppStream::remembering) what it was asked.
    ByItsRequest,
    /// A task of its own: a body goes on while the client does not take the reply, and tunnels are possible.
    ByATask,
}

/// Why there is no reply over HTTP/1.1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Http1Error {
    #[error("no connection")]
    Connect(#[source] BoxError),
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
}

impl Http1 {
    /// Keeps connections for as long as `idle_limit`, or as the app says if that is less.
    pub(crate) fn new(connector: Connector, driven: Driven, idle_limit: Duration) -> Self {
        Self { connector, driven, pool: Pool::new(idle_limit) }
    }

    /// On a kept connection or a new one. The target is in origin form, and there is a `Host`.
    ///
    /// # Errors
    /// There is no connection, or no reply.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<AppReply>, Http1Error> {
        let mut request = request;
        while let Some(mut link) = self.pool.take() {
            match link.ask(request).await {
                Ok(reply) => return Ok(self.reply(link, reply)),
                Err(mut failed) => match failed.take_message() {
                    // It never left, whatever it is.
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        self.send_anew(request).await
    }

    /// On a new connection.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) async fn send_anew(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<AppReply>, Http1Error> {
        let mut link = Box::pin(self.connect()).await?;
        match link.ask(request).await {
            Ok(reply) => Ok(self.reply(link, reply)),
            Err(failed) => Err(failed.into_error().into()),
        }
    }

    fn reply(&self, mut link: Link, reply: Response<Incoming>) -> Response<AppReply> {
        link.idle_limit = keep_alive_timeout(reply.headers());
        let lent = Lent { link: Some(link), pool: Arc::clone(&self.pool) };
        reply.map(|incoming| AppReply::over(Way::Connection(lent), incoming))
    }

    async fn connect(&self) -> Result<Link, Http1Error> {
        let stream = self.connector.connect_http1().await.map_err(Http1Error::Connect)?;
        if self.driven == Driven::ByItsRequest {
            let (sender, connection) = handshake(TokioIo::new(stream.remembering())).await?;
            let driver = Driver::new(connection);
            return Ok(Link { sender, driver: Some(Box::new(driver)), idle_limit: None });
        }
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the app broke off");
            }
        });
        Ok(Link { sender, driver: None, idle_limit: None })
    }
}

/// A connection.
pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    /// Unless a task has it. `None` too once the connection is at its end.
    driver: Option<Box<Driver>>,
    /// What the app said last.
    pub(super) idle_limit: Option<Duration>,
}

impl Link {
    async fn ask(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        // tokio's budget would have it wait for a wake that goes nowhere.
        let mut reply = pin!(unconstrained(self.sender.try_send_request(request)));
        if self.driver.is_none() {
            return reply.await;
        }
        poll_fn(|context| {
            self.drive(context.waker());
            reply.as_mut().poll(&mut unwatched())
        })
        .await
    }

    /// Reads and writes what can be read and written by now; `waker` is for more.
    fn drive(&mut self, waker: &Waker) {
        if self.driver.as_mut().is_some_and(|driver| driver.drive(waker).is_ready()) {
            self.driver = None;
        }
    }

    /// Wakes nobody until it is driven again.
    fn hush(&self) {
        if let Some(driver) = &self.driver {
            driver.bell.0.take();
        }
    }

    /// Whether another request can be sent over it, as far as is known.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// The same, after a look whether the app has closed it.
    pub(super) fn is_still_ready(&mut self) -> bool {
        self.drive(Waker::noop());
        self.is_ready()
    }
}

/// The reading and writing side of a connection.
struct Driver {
    connection: Connection<TokioIo<AppStream>, RequestBody>,
    bell: Arc<Bell>,
    /// Rings the bell. The connection gets no other, so that none is stored anew for each request, and a new
    /// request does not wake whoever sent the last one.
    ringing: Waker,
}

impl Driver {
    fn new(connection: Connection<TokioIo<AppStream>, RequestBody>) -> Self {
        let bell = Arc::new(Bell(AtomicWaker::new()));
        Self { connection, ringing: Arc::clone(&bell).into(), bell }
    }

    /// Ready at the connection's end.
    fn drive(&mut self, waker: &Waker) -> Poll<()> {
        self.bell.0.register(waker);
        let ended =
            ready!(Pin::new(&mut self.connection).poll(&mut Context::from_waker(&self.ringing)));
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the app broke off");
        }
        Poll::Ready(())
    }
}

/// Wakes whoever uses a connection at the time.
struct Bell(AtomicWaker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// For what happens only while the connection is driven, by the one who asks.
fn unwatched() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A connection over which a reply comes, until this is dropped.
pub(super) struct Lent {
    link: Option<Link>,
    pool: Arc<Pool>,
}

impl Lent {
    /// `polled` sees what the connection brings.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut polled: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(link) = self.link.as_mut().filter(|link| link.driver.is_some()) else {
            return polled(context);
        };
        // Taking a piece tells the connection that there is room. It hears of that when it is driven.
        link.hush();
        if let Poll::Ready(ready) = polled(&mut unwatched()) {
            return Poll::Ready(ready);
        }
        link.drive(context.waker());
        polled(&mut unwatched())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.is_ready() {
            link.hush();
            return self.pool.keep(link);
        }
        // What drives it may be a step behind, and after a refused upload waits for the client.
        let driven_by_a_task = link.driver.is_none() && !link.sender.is_closed();
        if let (true, Ok(runtime)) = (driven_by_a_task, Handle::try_current()) {
            let pool = Arc::clone(&self.pool);
            runtime.spawn(async move {
                if link.sender.ready().await.is_ok() {
                    pool.keep(link);
                }
            });
        }
    }
}
