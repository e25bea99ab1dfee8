//! HTTP/1.1 for most requests: those without a body that may be asked twice.
//!
//! hyper's client can do everything: bodies both ways at once, a queue of requests, tunnels. What it takes for that
//! costs more than all else that happens to such a request. This one writes a head, and the task that awaits the
//! reply reads it. `head.rs` and `frames.rs` say what the bytes mean, without I/O; heads are parsed by httparse.

mod frames;
mod head;
mod line;
mod reply;

#[cfg(test)]
#[path = "../../../../tests/fuzz/reply.rs"]
mod fuzz;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};

use crate::http::interim::OnInterim;

use super::body::AppReply;
use super::connect::Connector;
use super::pool::Pool;
use crate::http::BoxError;

pub(super) use frames::Unreadable;
pub(super) use head::LONGEST_HEAD;
pub(super) use reply::BareReply;

use head::Framed;
use line::Line;

/// Connections over which one bare request after the other goes.
pub(super) struct Bare {
    connector: Connector,
    pool: Arc<Pool<Box<Line>>>,
}

/// A bare request as it is written, and what its reply has to be read by.
pub(super) struct Asked {
    head: Vec<u8>,
    /// A reply to `HEAD` has no body, whatever it says.
    without_body: bool,
    on_interim: Option<OnInterim>,
    /// Empty, with room for the reply's. hyper keeps a reply's for the client's next request, so that on most
    /// requests no map has to be made, nor grown by what Transom adds.
    headers: HeaderMap,
}

/// Why there is no reply, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BareError {
    #[error("no connection")]
    Connect(#[source] BoxError),
    #[error("the connection to the app broke")]
    Broken(#[from] io::Error),
    /// It had served before, so the app may have had it closed before the request came.
    #[error("the app closed a kept connection instead of answering")]
    Unanswered,
    #[error("the app closed the connection before the end of its reply")]
    CutShort,
    #[error("the app's reply can't be read")]
    Unreadable(#[from] Unreadable),
}

impl Asked {
    /// The target is in origin form, and there is a `Host`.
    pub(super) fn of<B>(mut request: Request<B>) -> Self {
        let head = head::written(&request);
        let on_interim = request.extensions_mut().remove();
        let mut headers = std::mem::take(request.headers_mut());
        headers.clear();
        Self { head, without_body: request.method() == Method::HEAD, on_interim, headers }
    }
}

impl Bare {
    /// Keeps `most` connections, and for as long as `idle_limit`, or as the app says if that is less.
    pub(super) fn new(connector: Connector, idle_limit: Duration, most: usize) -> Self {
        Self { connector, pool: Pool::new(idle_limit, most) }
    }

    /// On a kept connection or a new one; and once more if the kept one turns out to be closed.
    ///
    /// # Errors
    /// There is no connection, or no reply.
    pub(super) async fn ask(&self, asked: &mut Asked) -> Result<Response<AppReply>, BareError> {
        let mut kept = self.pool.take();
        loop {
            let mut line = match kept.take() {
                Some(line) => line,
                None => self.connect().await?,
            };
            match poll_fn(|context| line.poll_reply(context, asked)).await {
                Ok((reply, ahead)) => return Ok(self.reply(reply, ahead, line)),
                // No new one is said to have been kept.
                Err(BareError::Unanswered) => {
                    tracing::debug!("the app closed a kept connection; asked again on a new one");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect(&self) -> Result<Box<Line>, BareError> {
        let stream = Box::pin(self.connector.connect_http1()).await.map_err(BareError::Connect)?;
        Ok(Box::new(Line::new(stream)))
    }

    fn reply(
        &self,
        reply: Response<Framed>,
        ahead: Bytes,
        mut line: Box<Line>,
    ) -> Response<AppReply> {
        line.idle_limit = reply.body().idle_limit;
        let pool = reply.body().reusable.then(|| Arc::clone(&self.pool));
        reply.map(|framed| AppReply::bare(BareReply::new(framed.frames, ahead, line, pool)))
    }
}
