//! The app's own word on a caller, asked for with the caller's own credentials.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;
use tracing::{debug, warn};

use super::behalf::{CREDENTIALS, on_behalf, query_tokens, token_headers};
use super::{Inner, tell};
use crate::body::RequestBody;
use crate::config::{Kind, Reads};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::http::ClientInfo;
use crate::mount::Misplaced;
use crate::reason::Reason;
use crate::session::{Answer, Question, Refusal, judge};
use crate::store::Observed;
use crate::telemetry::request_id;
use crate::trail::{Finding, Trail};

/// Whether the app answers one of the kind's probes with a yes (see [`judge`]), now or a moment ago; and what it
/// says of the document's bytes, where they are what the probe asks for. The reply's body is never read.
///
/// # Errors
/// `denied_by_app`, or `app_unavailable` when no probe gave an answer that can be believed.
pub(crate) async fn probe<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Result<Option<Observed>, Reason> {
    let requests = requests(engine, kind, key, caller);
    let question = question(engine, key, caller, &requests);
    let unknown = kind.probe.is_empty();
    let (mut asked, mut seen) = (false, None);
    let ask = async {
        asked = true;
        match ask(engine, inner, kind, key, requests).await {
            Word::Yes(observed) => {
                seen = observed;
                Ok(())
            }
            Word::No { .. } => Err(Reason::DeniedByApp),
            Word::Unknown => Err(Reason::AppUnavailable),
        }
    };
    let answer = engine.decisions.recall(question, ask).await;
    if !asked {
        Trail::step(&caller.extensions, "app", || {
            (Finding::of(answer.is_ok()), "its answer to the same question a moment ago".to_owned())
        });
    } else if unknown {
        Trail::step(&caller.extensions, "app", || {
            (Finding::No, format!("nothing says how to ask it about `{}`: no `probe`", kind.name))
        });
    }
    answer.map(|()| seen)
}

/// The app's word on a document, as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// With what it says of the bytes.
    Yes(Option<Observed>),
    No {
        /// It says that there is nothing.
        gone: bool,
    },
    Unknown,
}

/// The app's word of this moment, whatever it said before.
pub(crate) async fn probe_afresh<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Word {
    if Misplaced::check(&caller.extensions).is_err() {
        return Word::Unknown;
    }
    ask(engine, inner, kind, key, requests(engine, kind, key, caller)).await
}

/// What the app says of a document's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    Seen(Observed),
    /// There are none, or none any more.
    Gone,
    /// Nothing, now or to this caller.
    Unsaid,
}

/// What the app says now of the document's bytes to a caller who may see them.
pub(crate) async fn observe<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Validation {
    let validate = kind.validate.as_ref();
    let request = validate.and_then(|v| Some((v, on_behalf(engine, &v.request, key, caller)?)));
    let Some((validate, request)) = request else { return Validation::Unsaid };
    match ask_once(engine, inner, key, request, validate.reads(&validate.request)).await {
        (Answer::Yes, Some(seen)) => Validation::Seen(seen),
        (Answer::No(Refusal::Gone | Refusal::Empty), _) => Validation::Gone,
        _ => Validation::Unsaid,
    }
}

fn requests<B>(
    engine: &Engine,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Vec<(Request<RequestBody<B>>, Reads)> {
    let reads = |probe| kind.validate.as_ref().map_or(Reads::Nothing, |v| v.reads(probe));
    let request = |probe| Some((on_behalf(engine, probe, key, caller)?, reads(probe)));
    kind.probe.iter().filter_map(request).collect()
}

async fn ask<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    requests: Vec<(Request<RequestBody<B>>, Reads)>,
) -> Word {
    let (mut unknown, mut gone) = (kind.probe.is_empty(), false);
    for (request, reads) in requests {
        match ask_once(engine, inner, key, request, reads).await {
            (Answer::Yes, seen) => return Word::Yes(seen),
            (Answer::No(refusal), _) => gone |= refusal == Refusal::Gone,
            (Answer::Unknown(_), _) => unknown = true,
        }
    }
    if unknown { Word::Unknown } else { Word::No { gone } }
}

async fn ask_once<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    key: &DocumentKey,
    mut request: Request<RequestBody<B>>,
    reads: Reads,
) -> (Answer, Option<Observed>) {
    if Trail::of(request.extensions()).is_some() {
        request.extensions_mut().insert(Probe);
    }
    let (path, asked) = (request.uri().path().to_owned(), request.headers().clone());
    let (method, extensions) = (request.method().clone(), request.extensions().clone());
    let reply = tokio::time::timeout(PROBE_AT_MOST, inner.ask(request)).await;
    let answer = match &reply {
        Ok(Ok(reply)) => judge(reply.status(), reply.headers(), &asked),
        Ok(Err(_)) => Answer::Unknown("the app can't be reached"),
        Err(_) => Answer::Unknown("the app took too long"),
    };
    let reply = reply.ok().and_then(Result::ok);
    let status = reply.as_ref().map(|reply| reply.status().as_u16());
    let seen = reply.and_then(|reply| reads.observe(&method, &reply));
    Trail::step(&extensions, "app", || {
        let told = match answer {
            Answer::Yes => "a yes",
            Answer::No(refusal) => refusal.why(),
            Answer::Unknown(why) => why,
        };
        let status = status.map_or("no answer".to_owned(), |status| status.to_string());
        let finding = Finding::of(answer == Answer::Yes);
        let with = tell::credentials(&asked, token_headers(engine));
        (finding, format!("asked with {method} {path}, {with}; {status} is: {told}"))
    });
    let request_id = request_id::of(&asked);
    match answer {
        Answer::Yes => {}
        Answer::No(refusal) => {
            let why = refusal.why();
            debug!(document = %key, path, status, why, request_id, "the app said no");
        }
        Answer::Unknown(why) => {
            warn!(document = %key, path, status, why, request_id, "no word from the app");
        }
    }
    (answer, seen)
}

impl Reads {
    fn observe<R: Body>(self, method: &Method, reply: &Response<R>) -> Option<Observed> {
        let (status, headers) = (reply.status(), reply.headers());
        match self {
            Self::Nothing => None,
            Self::About => Observed::of_reply(status, headers),
            // A service in this process need not write a length that its body knows.
            Self::Bytes => {
                let whole = status == StatusCode::OK && method == Method::GET;
                let length = reply.body().size_hint().exact().filter(|_| whole);
                Some(Observed::of_bytes(status, headers)?.with_length(length))
            }
        }
    }
}

/// What tells this question from others: the requests as they would be sent, and the client's address, by
/// which an app may decide too.
///
/// `None`, so that the app is asked each time, for a caller without any credentials.
fn question<B>(
    engine: &Engine,
    key: &DocumentKey,
    caller: &Parts,
    requests: &[(Request<RequestBody<B>>, Reads)],
) -> Option<Question> {
    let (first, _) = requests.first()?;
    let client = first.extensions().get::<ClientInfo>();
    let credential = |name: &HeaderName| first.headers().contains_key(name);
    if !CREDENTIALS.iter().chain(token_headers(engine)).any(credential)
        && query_tokens(engine, caller).next().is_none()
    {
        return None;
    }
    let peer =
        client.map_or_else(String::new, |client| format!("{} {}", client.peer.ip(), client.tls));
    let sent = requests.iter().map(|(request, _)| {
        let headers = request.headers().iter().filter(|(name, _)| *name != request_id::HEADER);
        let headers = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        (request.method().as_str(), request.uri().to_string(), headers)
    });
    let host = key.host().unwrap_or_default().into();
    let mut items = vec![key.kind().into(), host, key.id().into(), peer.into_bytes()];
    for (method, target, headers) in sent {
        items.extend([method.into(), target.into_bytes()]);
        headers.for_each(|(name, value)| items.extend([name.to_vec(), value.to_vec()]));
    }
    Some(Question::of(items.iter().map(Vec::as_slice)))
}

/// Marks a probe among the requests to the app of a request that is explained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe;

const PROBE_AT_MOST: Duration = Duration::from_secs(10);
