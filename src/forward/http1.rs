//! HTTP/1.1 to the app: one request after another on each connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;

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

    async fn connect(&self) -> Result<Link, Http1Error> {
        let stream = self.connector.connect_http1().await.map_err(Http1Error::Connect)?;
        if self.driven == Driven::ByItsRequest {
            let (sender, connection) = handshake(TokioIo::new(stream.remembering())).await?;
            return Ok(Link { sender, driver: Some(Box::new(connection)), idle_limit: None });
        }
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the app broke off");
            }
        });
        Ok(Link { sender, driver: None, idle_limit: None })
    }

    fn reply(&self, mut link: Link, reply: Response<Incoming>) -> Response<AppReply> {
        link.idle_limit = keep_alive_timeout(reply.headers());
        let lent = Lent { link: Some(link), pool: Arc::clone(&self.pool) };
        reply.map(|incoming| AppReply::over(Way::Connection(lent), incoming))
    }
}

type Driver = Connection<TokioIo<AppStream>, RequestBody>;

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
        let mut reply = pin!(self.sender.try_send_request(request));
        if self.driver.is_none() {
            return reply.await;
        }
        poll_fn(|context| {
            self.drive(context);
            // What is said over the connection is said within `drive`: nobody else would wake this task for it.
            reply.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// Reads and writes what can be read and written by now.
    fn drive(&mut self, context: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else { return };
        if let Poll::Ready(ended) = Pin::new(driver).poll(context) {
            self.driver = None;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the app broke off");
            }
        }
    }

    /// Whether another request can be sent over it, as far as is known. Nobody is woken for it from now on.
    pub(super) fn is_of_use(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }
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
        // Here too, nobody else wakes this task.
        let quiet = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(ready) = polled(quiet) {
            return Poll::Ready(ready);
        }
        link.drive(context);
        polled(quiet)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.sender.is_ready() {
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
