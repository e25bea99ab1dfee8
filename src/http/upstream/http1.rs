//! HTTP/1.1 to the app for what has a body or becomes a tunnel: one request after another on each connection,
//! whose reading and writing a task of its own does. So a body goes on while the client does not take the reply.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;

use super::body::{AppReply, RequestBody};
use super::connect::Connector;
use super::pool::{Pool, Reusable, keep_alive_timeout};
use crate::http::BoxError;

/// Connections for such requests.
pub(crate) struct Http1 {
    connector: Connector,
    pool: Arc<Pool<Link>>,
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
    /// Keeps `most` connections, and for as long as `idle_limit`, or as the app says if that is less.
    pub(crate) fn new(connector: Connector, idle_limit: Duration, most: usize) -> Self {
        Self { connector, pool: Pool::new(idle_limit, most) }
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
            match link.sender.try_send_request(request).await {
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
        let reply = link.sender.send_request(request).await?;
        Ok(self.reply(link, reply))
    }

    fn reply(&self, mut link: Link, reply: Response<Incoming>) -> Response<AppReply> {
        link.idle_limit = keep_alive_timeout(reply.headers());
        let lent = Lent { link: Some(link), pool: Arc::clone(&self.pool) };
        reply.map(|incoming| AppReply::over_http1(incoming, lent))
    }

    async fn connect(&self) -> Result<Link, Http1Error> {
        let stream = self.connector.connect_http1().await.map_err(Http1Error::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the app broke off");
            }
        });
        Ok(Link { sender, idle_limit: None })
    }
}

/// A connection.
struct Link {
    sender: SendRequest<RequestBody>,
    /// For how long the app keeps it, as it said last.
    idle_limit: Option<Duration>,
}

impl Reusable for Link {
    fn is_ready(&mut self) -> bool {
        self.sender.is_ready()
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit
    }
}

/// A connection over which a reply comes, until this is dropped.
pub(super) struct Lent {
    link: Option<Link>,
    pool: Arc<Pool<Link>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.sender.is_ready() {
            return self.pool.keep(link);
        }
        // What drives it may be a step behind, and after a refused upload waits for the client.
        if let (false, Ok(runtime)) = (link.sender.is_closed(), Handle::try_current()) {
            let pool = Arc::clone(&self.pool);
            runtime.spawn(async move {
                if link.sender.ready().await.is_ok() {
                    pool.keep(link);
                }
            });
        }
    }
}
