//! A document that Transom has not seen, taken from the app with the credentials of a caller who may see it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::behalf::on_behalf;
use super::{Inner, ask_for_identity, is_encoded, last_segment};
use crate::body::RequestBody;
use crate::capture::{self, Plan, Shape, Spool, SpooledFile, tap};
use crate::deliver::{Known, Outbox};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::mapping::Provenance;
use crate::reason::Reason;
use crate::session::Holder;
use crate::source::Flight;
use crate::telemetry::{Metrics, Step};

/// Waits until the document is journalled, having it fetched from the kind's `source`. `patience`: until
/// when, for a fetch that began then.
///
/// # Errors
/// `document_pending` after that; `document_unknown` when there is no source or it has nothing that can
/// be shown, `denied_by_app`, `app_unavailable`, `store_unavailable`.
pub(super) async fn fetch<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    key: &DocumentKey,
    holder: &Holder,
    caller: &Parts,
    patience: impl Fn(Instant) -> Instant,
) -> Result<(), Reason> {
    let kind = engine.config.kinds.iter().find(|kind| kind.name == key.kind());
    let (kind, source) =
        kind.and_then(|kind| Some((kind, kind.source.as_ref()?))).ok_or(Reason::DocumentUnknown)?;
    // What lies there may be anything else for an app that decodes `%2F` before it routes. A probe may ask for such an
    // id, since the app itself has named the document so.
    if source.hides_slash(key.id()) && !engine.config.app.encoded_slash {
        return Err(Reason::DocumentUnknown);
    }
    // Owns `inner`: a service may be sent to another thread, but not shared with it.
    let work = move |flight| {
        let fetch = Fetch {
            key: key.clone(),
            max_size: kind.max_size,
            types: kind.types.clone(),
            spool: engine.spool.clone(),
            outbox: engine.outbox.clone(),
            metrics: engine.metrics.clone(),
            flight,
        };
        Box::pin(fetch.run(inner.clone(), on_behalf(engine, source, key, caller)))
    };
    engine.sources.fetched(key, holder, patience, work).await.map_err(|reason| match reason {
        Reason::DeniedByApp | Reason::DocumentPending | Reason::StoreUnavailable => reason,
        Reason::SourceFailed | Reason::ReplyIncomplete => Reason::AppUnavailable,
        Reason::SpoolFailed => Reason::StoreUnavailable,
        _ => Reason::DocumentUnknown,
    })
}

/// All that a fetch needs, apart from the request that began it.
struct Fetch {
    key: DocumentKey,
    max_size: u64,
    types: Vec<String>,
    spool: Spool,
    outbox: Outbox,
    metrics: Arc<Metrics>,
    flight: Arc<Flight>,
}

impl Fetch {
    async fn run<S: Inner<B>, B>(
        self,
        inner: S,
        request: Option<Request<RequestBody<B>>>,
    ) -> Result<(), Reason> {
        let outcome = match request {
            Some(request) => self.attempt(inner, request).await,
            None => Err(Reason::DocumentUnknown),
        };
        let (reason, document) = (outcome.err().unwrap_or(Reason::Captured), &self.key);
        self.metrics.outcome(Step::Source, reason);
        match reason {
            Reason::Captured => info!(code = %reason, %document, "fetched from the app"),
            Reason::DocumentPending | Reason::Superseded => {
                info!(code = %reason, %document, "what was fetched is not needed any more");
            }
            _ => warn!(code = %reason, %document, "the app's source gave no document"),
        }
        outcome.or_else(|reason| match reason {
            // An upload came first: there is a document to be had.
            Reason::Superseded => Ok(()),
            _ => Err(reason),
        })
    }

    async fn attempt<S: Inner<B>, B>(
        &self,
        mut inner: S,
        mut request: Request<RequestBody<B>>,
    ) -> Result<(), Reason> {
        ask_for_identity(request.headers_mut());
        let title = last_segment(request.uri());
        let reply = match timeout(SILENT_AT_MOST, inner.ask(request)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => return Err(Reason::SourceFailed),
        };
        self.check(&reply)?;
        // The same names of files, and the same signs of half a document, as on requests.
        let no_parts = capture::Parts::Named(Vec::new());
        let shape = Shape::of(reply.headers(), no_parts, Some(title))?;
        let length = content_length(&reply);
        if length.is_some_and(|length| length > self.max_size) {
            return Err(Reason::FileTooLarge);
        }
        let file = self.spooled(reply.into_body(), shape, length).await?;
        let size = file.size;
        let journalled = self.outbox.capture(
            vec![(self.key.clone(), file)],
            Provenance::default(),
            Known::Never,
        );
        self.flight.journal(journalled).await?;
        self.metrics.captured(size);
        Ok(())
    }

    fn check<R>(&self, reply: &Response<R>) -> Result<(), Reason> {
        let status = reply.status();
        if status != StatusCode::OK {
            info!(document = %self.key, status = status.as_u16(), "the app did not answer with a document");
        }
        match status {
            StatusCode::OK if is_encoded(reply.headers()) => Err(Reason::ReplyEncoded),
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Reason::DocumentUnknown),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Reason::SourceFailed)
            }
            status if status.is_redirection() || status.is_client_error() => {
                Err(Reason::DeniedByApp)
            }
            _ => Err(Reason::SourceFailed),
        }
    }

    /// Reads the body to its end, or until it is clear that it is not to be kept.
    async fn spooled<R: Body<Data = Bytes>>(
        &self,
        body: R,
        shape: Shape,
        length: Option<u64>,
    ) -> Result<SpooledFile, Reason> {
        let (max_size, types) = (self.max_size, self.types.clone());
        let plan = Plan { shape, max_size, types, keep_json: false };
        let (tapped, handle) = tap(body, plan, &self.spool);
        let mut tapped = Box::pin(tapped);
        let mut read = 0;
        while !tapped.is_end_stream() {
            let Ok(frame) = timeout(SILENT_AT_MOST, tapped.frame()).await else {
                return Err(Reason::ReplyIncomplete);
            };
            match frame {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
                Some(Err(_)) => return Err(Reason::ReplyIncomplete),
                None => break,
            }
            if let Some(reason) = tapped.refusal() {
                return Err(reason);
            }
        }
        // A service in this process need not keep its word as hyper does.
        if length.is_some_and(|length| length != read) {
            return Err(Reason::ReplyIncomplete);
        }
        let seen = handle.finish().await?;
        seen.files.into_iter().next().ok_or(Reason::FileEmpty)?.kept
    }
}

fn content_length<R>(reply: &Response<R>) -> Option<u64> {
    reply.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How long the app may take until its reply begins, and between two pieces of it.
const SILENT_AT_MOST: Duration = Duration::from_secs(30);
