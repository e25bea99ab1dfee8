//! A document that Transom has not seen, or of which the app may have other bytes by now, taken from the app with
//! the credentials of a caller who may see it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::behalf::on_behalf;
use super::{Inner, client_address, is_encoded, last_segment};
use crate::body::RequestBody;
use crate::coding::ask_for_identity;
use crate::config::Kind;
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::{Event, Events, Origin};
use crate::extract::{Extract, FileSource, Head, Plan, extractor, tap};
use crate::mount::Misplaced;
use crate::outbox::{Circumstances, Known, Outbox, hex};
use crate::reason::Reason;
use crate::route::Outgoing;
use crate::session::Holder;
use crate::source::{Flight, Sources};
use crate::spool::{Spool, SpooledFile};
use crate::store::{Mapping, Observed, Provenance, Validators};

/// Waits until the document is journalled, or found to be what the app has, having it fetched from the kind's
/// `source`. `known`: what Transom has of it. `patience`: until when, for a fetch that began then. Returns when
/// the fetch began.
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
    known: Option<Arc<Mapping>>,
    patience: impl Fn(Instant) -> Instant,
) -> Result<Instant, Reason> {
    let client = client_address(engine, &caller.extensions, &caller.headers);
    let sources = engine.sources.asked_by(client, engine.config.app.limits.fetches);
    let (kind, source) = source_of(engine, key)?;
    let request = || on_behalf(engine, source, key, caller);
    let wanted = ToFetch { kind, key, holder, known };
    let fetched = fetch_by(engine, inner, wanted, &sources, patience, request).await;
    fetched.map_err(|reason| match reason {
        Reason::DeniedByApp
        | Reason::Superseded
        | Reason::DocumentPending
        | Reason::QuotaExhausted
        | Reason::StoreUnavailable => reason,
        Reason::SourceFailed | Reason::ReplyIncomplete => Reason::AppUnavailable,
        Reason::SpoolFailed | Reason::SpoolFull => Reason::StoreUnavailable,
        _ => Reason::DocumentUnknown,
    })
}

/// A document to be fetched.
pub(crate) struct ToFetch<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) key: &'a DocumentKey,
    /// Whose credentials the request carries.
    pub(crate) holder: &'a Holder,
    /// What Transom has of it.
    pub(crate) known: Option<Arc<Mapping>>,
}

/// Where the app serves the bytes of this document.
pub(crate) fn source_of<'e>(
    engine: &'e Engine,
    key: &DocumentKey,
) -> Result<(&'e Kind, &'e Outgoing), Reason> {
    let kind = engine.config.kind_of(key);
    let (kind, source) =
        kind.and_then(|kind| Some((kind, kind.source.as_ref()?))).ok_or(Reason::DocumentUnknown)?;
    // What lies there may be anything else for an app that decodes `%2F` before it routes. A probe may ask for such an
    // id, since the app itself has named the document so.
    if source.hides_slash(key.id()) && !engine.config.app.encoded_slash {
        return Err(Reason::DocumentUnknown);
    }
    Ok((kind, source))
}

/// The same by requests that `request` makes of the kind's `source`, and with the reason as it is.
pub(crate) async fn fetch_by<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    ToFetch { kind, key, holder, known }: ToFetch<'_>,
    sources: &Sources,
    patience: impl Fn(Instant) -> Instant,
    request: impl Fn() -> Option<Request<RequestBody<B>>>,
) -> Result<Instant, Reason> {
    // Owns `inner`: a service may be sent to another thread, but not shared with it.
    let work = move |flight| {
        let fetch = Fetch {
            key: key.clone(),
            limits: Limits::of(engine, kind),
            outbox: engine.outbox.clone(),
            known: known.clone(),
            events: engine.events.clone(),
            flight,
        };
        Box::pin(fetch.run(inner.clone(), request()))
    };
    sources.fetched(key, holder, patience, work).await
}

/// All that a fetch needs, apart from the request that began it.
struct Fetch {
    key: DocumentKey,
    limits: Limits,
    outbox: Outbox,
    known: Option<Arc<Mapping>>,
    events: Events,
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
        let (Ok(reason) | Err(reason)) = outcome;
        let event = Event::Fetched { document: &self.key, reason };
        self.events.tell(&event, &Origin::default());
        match outcome {
            Ok(_) => Ok(()),
            Err(reason) => Err(reason),
        }
    }

    async fn attempt<S: Inner<B>, B>(
        &self,
        inner: S,
        request: Request<RequestBody<B>>,
    ) -> Result<Reason, Reason> {
        // What a write under way is about to change can be shown now, and says nothing of later.
        let lingers = self.known.as_ref().is_some_and(|known| self.outbox.may_be_written(known));
        let settles = !lingers && !self.outbox.is_being_written(&self.key);
        let read = self.limits.read(&self.key, inner, request).await?;
        self.flight.journal(self.conclude(read, settles)).await
    }

    /// What the app's bytes are, beside those that are known.
    async fn conclude(&self, read: Read, settles: bool) -> Result<Reason, Reason> {
        let Read { file, seen } = read;
        let (sha256, size) = (hex(&file.sha256), file.size);
        if let Some(known) = &self.known {
            let is_stored = known.is_document() && known.state.lost_document().is_none();
            if is_stored && known.sha256 == sha256 {
                if settles && !self.outbox.is_being_written(&self.key) {
                    let validators = known.validators.after_look(known.size, &seen);
                    self.outbox.settle(known, validators).await?;
                }
                return Ok(Reason::Unchanged);
            }
            if let Some(job) = self.outbox.unconfirmed(known, &sha256).await? {
                let by = Circumstances::fetched(Validators::of(&seen), known.mark(), settles);
                return self.outbox.confirm(&self.key, job, by).await;
            }
        }
        let document = self.known.as_ref().filter(|known| known.is_document());
        // What DWS has lost was never in doubt.
        let known = match document.filter(|known| known.state.lost_document().is_none()) {
            Some(known) => Known::just(known),
            None => Known::Never,
        };
        let files = vec![(self.key.clone(), file)];
        let mark = self.known.as_ref().and_then(|known| known.mark());
        let by = Circumstances::fetched(Validators::of(&seen), mark, settles);
        self.outbox.capture(files, Provenance::default(), known, by).await?;
        self.events.tell(&Event::Journalled { bytes: size }, &Origin::default());
        Ok(Reason::Captured)
    }
}

/// The document's bytes as the app serves them.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) file: SpooledFile,
    /// What the app says of them.
    pub(super) seen: Observed,
}

/// Reads the document from the kind's `source` with this caller's credentials, after or beside what others fetch.
pub(super) async fn read<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    source: &Outgoing,
    key: &DocumentKey,
    caller: &Parts,
) -> Result<Read, Reason> {
    if source.hides_slash(key.id()) && !engine.config.app.encoded_slash {
        return Err(Reason::DocumentUnknown);
    }
    Misplaced::check(&caller.extensions)?;
    let request = on_behalf(engine, source, key, caller).ok_or(Reason::DocumentUnknown)?;
    let _slot = engine.sources.slot().await;
    let client = client_address(engine, &caller.extensions, &caller.headers);
    let limits = Limits { spool: engine.spool.of_client(client), ..Limits::of(engine, kind) };
    limits.read(key, inner.clone(), request).await
}

/// What is taken from a source.
struct Limits {
    max_size: u64,
    types: Vec<String>,
    spool: Spool,
}

impl Limits {
    fn of(engine: &Engine, kind: &Kind) -> Self {
        let (max_size, types) = (kind.max_size, kind.types.clone());
        Self { max_size, types, spool: engine.spool.clone() }
    }

    async fn read<S: Inner<B>, B>(
        &self,
        key: &DocumentKey,
        mut inner: S,
        mut request: Request<RequestBody<B>>,
    ) -> Result<Read, Reason> {
        ask_for_identity(request.headers_mut());
        let title = last_segment(request.uri());
        let reply = match timeout(SILENT_AT_MOST, inner.ask(request)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => return Err(Reason::SourceFailed),
        };
        check(key, &reply)?;
        // The same names of files, and the same signs of half a document, as on requests.
        let body = extractor(
            &Head { headers: reply.headers(), name: &|| title.clone() },
            &[&FileSource::Body],
        )?;
        let length = content_length(&reply);
        if length.is_some_and(|length| length > self.max_size) {
            return Err(Reason::FileTooLarge);
        }
        let seen = Observed::of_bytes(reply.status(), reply.headers()).unwrap_or_default();
        let file = self.spooled(reply.into_body(), body, length).await?;
        Ok(Read { file, seen })
    }

    /// Reads the body to its end, or until it is clear that it is not to be kept.
    async fn spooled<R: Body<Data = Bytes>>(
        &self,
        body: R,
        extract: Box<dyn Extract>,
        length: Option<u64>,
    ) -> Result<SpooledFile, Reason> {
        let (max_size, types) = (self.max_size, self.types.clone());
        let plan = Plan { body: extract, max_size, types, keep_json: false };
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

fn check<R>(key: &DocumentKey, reply: &Response<R>) -> Result<(), Reason> {
    let status = reply.status();
    if status != StatusCode::OK {
        info!(document = %key, status = status.as_u16(), "the app did not answer with a document");
    }
    match status {
        StatusCode::OK if is_encoded(reply.headers()) => Err(Reason::ReplyEncoded),
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Reason::DocumentUnknown),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Reason::SourceFailed),
        status if status.is_redirection() || status.is_client_error() => Err(Reason::DeniedByApp),
        _ => Err(Reason::SourceFailed),
    }
}

fn content_length<R>(reply: &Response<R>) -> Option<u64> {
    reply.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How long the app may take until its reply begins, and between two pieces of it.
const SILENT_AT_MOST: Duration = Duration::from_secs(30);
