//! The capture lane: an upload, a replacement or a delete goes by.

mod arrival;
mod exchange;
mod in_body;
mod look;
mod needs;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tracing::warn;

use self::arrival::Arrival;
use self::exchange::Exchange;
use self::needs::Needs;
use super::writing::{self, has_moved, is_refusal, meant, named_by_rules, outdate};
use super::{Inner, client_address};
use crate::body::{HeldReply, ReplyEnd, RequestBody, ResponseBody};
use crate::coding::ask_for_identity;
use crate::engine::Engine;
use crate::extract::tap;
use crate::outbox::WriteUnderWay;
use crate::reason::Reason;
use crate::telemetry::Step;
use crate::trail::{Finding, Trail};

/// Taps the body, lets the app answer, and holds the end of its reply until what follows is durable.
pub(crate) async fn capture<S: Inner<B>, B>(
    engine: Arc<Engine>,
    mut inner: S,
    request: Request<B>,
) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let meant = meant(&engine, &request);
    let (mut parts, body) = request.into_parts();
    let mut arrival = Arrival::of(&engine, &parts);
    let writers = arrival.writers(&engine);
    let named = named_by_rules(&engine, &parts, &writers);
    let write = engine.outbox.begin_write([named, meant].concat()).await;
    arrival.seen_before = look::before(&engine, &mut inner, &parts, &writers, &write).await;
    arrival.write = Some(write);
    let needs = Needs::of(&writers);
    if needs.reply_body {
        ask_for_identity(&mut parts.headers);
    }
    let plan = arrival.plan(&writers, &needs);
    let before_end = arrival.in_body.before_end(&engine, &arrival, &writers);
    drop(writers);
    let client = client_address(&engine, &parts.extensions, &parts.headers);
    let (tapped, handle) = tap(body, plan, &engine.spool.of_client(client));
    arrival.handle = Some(handle);
    let tapped = RequestBody::tapped(tapped.holding(before_end));
    let reply = inner.forward(Request::from_parts(parts, tapped)).await?;
    Trail::step(&arrival.extensions, "app", || {
        (Finding::Told, format!("answered with {}", reply.status().as_u16()))
    });
    if !needs.own_acceptance && !reply.status().is_success() && !reply.status().is_redirection() {
        let reason = arrival.unreadable.unwrap_or(Reason::NotAccepted);
        let unchanged = is_refusal(&reply);
        arrival.over(unchanged);
        arrival.not_captured(&engine, Step::Capture, reason, reply.status(), unchanged);
        return Ok(reply.map(ResponseBody::passed));
    }
    let refused = is_refusal(&reply);
    let (head, body) = reply.into_parts();
    let answered = Answered { status: head.status, headers: head.headers.clone(), refused };
    let settle = move |end| async move {
        // In a task of its own: neither a client that leaves nor a slow store undoes half of it.
        // A store that is known to be away is not waited for; the capture does.
        let hold = engine.store.health().map_or(Duration::ZERO, |()| engine.config.store.hold);
        let background = engine.background.clone();
        let metrics = engine.metrics.clone();
        let settled = background.spawn(settle(engine, inner, arrival, answered, end));
        if tokio::time::timeout(hold, settled).await.is_err() {
            metrics.limit("store.hold");
            warn!(
                code = %Reason::StoreUnavailable,
                "a reply goes before its capture is durable, which is done as soon as the disk allows it"
            );
        }
    };
    if body.is_end_stream() {
        settle(Ok(Bytes::new())).await;
        return Ok(Response::from_parts(head, ResponseBody::passed(body)));
    }
    Ok(Response::from_parts(head, ResponseBody::held(HeldReply::new(body, settle))))
}

/// The head of the app's reply.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    /// For certain, the app has changed nothing.
    refused: bool,
}

/// Decides what the exchange was, and makes it durable. What takes a look at the app goes on afterwards.
async fn settle<S: Inner<B>, B: Send + 'static>(
    engine: Arc<Engine>,
    inner: S,
    mut arrival: Arrival,
    answered: Answered,
    end: ReplyEnd,
) {
    let Answered { status, headers, refused } = answered;
    let Some(handle) = arrival.handle.take() else { return };
    arrival.over(refused);
    let uploader = std::mem::take(&mut arrival.uploading).caller().await;
    let seen = match (handle.finish().await, arrival.unreadable) {
        (Ok(seen), None) => Ok(seen),
        (Ok(_) | Err(_), Some(reason)) | (Err(reason), None) => Err(reason),
    };
    // A form with a file that no rule asked for is no ordinary request.
    let carries = seen.as_ref().map_or(true, |seen| !seen.files.is_empty() || seen.has_other_files);
    let exchange =
        Exchange { engine: &engine, arrival: &arrival, uploader, status, headers: &headers, end };
    let (step, outcome) = exchange.conclude(seen).await;
    let reason = match outcome {
        Ok(looks) if looks.is_empty() => {
            arrival.write.iter().for_each(WriteUnderWay::ended);
            return;
        }
        Ok(looks) => {
            let background = engine.background.clone();
            background.spawn(look::run(engine, inner, arrival, looks));
            return;
        }
        Err(reason) => reason,
    };
    let unchanged = refused || (reason == Reason::NoFile && !carries);
    arrival.not_captured(&engine, step, reason, status, unchanged);
    let Some(write) = arrival.write.filter(|_| !unchanged) else { return };
    write.ended();
    outdate(&engine, &write).await;
    let moved = has_moved(status, &headers);
    let in_place = matches!(reason, Reason::NotAccepted | Reason::WhenUnmet);
    if moved || in_place {
        let background = engine.background.clone();
        background.spawn(writing::refused(engine, inner, write, arrival.caller, moved, in_place));
    }
}
