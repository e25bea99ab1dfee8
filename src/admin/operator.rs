//! What the admin listener tells of single requests, `POST /explain`, `POST /trace` and `GET /trace/{id}`, of what
//! happens, `GET /events`, and what the commands ask of a Transom that is running.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backfill::{Backfill, BackfillError, Bring, Look, Turn};
use crate::engine::Transom;
use crate::explain::{Asked, Questions};
use crate::http::BoxError;
use crate::http::ClientInfo;
use crate::trail::{Progress, Wanted};

use super::mappings::{self, Removal};
use super::outbox::{self, Decision};
use super::{AdminBody, Closes, Health, TEXT, live, reply, status};

/// Explains requests, and tells what happens.
#[derive(Clone)]
pub(super) struct Operator {
    /// `None`: there is no app that could be asked.
    pub(super) questions: Option<Questions>,
    /// The same.
    pub(super) backfill: Option<Backfill>,
    pub(super) transom: Transom,
    /// When streams have to end.
    pub(super) closes: Closes,
}

/// Whether this path is answered here.
pub(super) fn is_ours(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(
        first,
        Some(
            "events"
                | "explain"
                | "trace"
                | "status"
                | "outbox"
                | "mappings"
                | "settle"
                | "backfill"
        )
    )
}

/// A status other than 200 with a sentence for the operator.
pub(super) type Answer = Result<Response<AdminBody>, (StatusCode, String)>;

impl Operator {
    pub(super) async fn answer<B>(
        self,
        request: Request<B>,
        health: &dyn Health,
    ) -> Response<AdminBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_start_matches('/');
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let answer = match (&parts.method, first) {
            (&Method::GET, "events") if rest.is_empty() => {
                Ok(live::answer(self.transom.engine().events.feed(), self.closes))
            }
            (&Method::GET, "trace") if !rest.is_empty() => {
                self.trace(rest, parts.uri.query()).await
            }
            (&Method::POST, "explain") if rest.is_empty() => self.explain(&parts, body).await,
            (&Method::POST, "trace") if rest.is_empty() => self.arm(&parts, body).await,
            (&Method::GET, "status") if rest.is_empty() => {
                json(StatusCode::OK, &status::of(&self.transom, health).await)
            }
            (method @ (&Method::GET | &Method::POST), "settle") if rest.is_empty() => {
                // Looking changes nothing.
                let found = self.settle(method == Method::GET, &parts.headers, body);
                found.await
            }
            (&Method::GET, "outbox") => self.look_at_outbox(rest).await,
            (&Method::POST, "outbox") => self.change_outbox(rest, &parts.headers, body).await,
            (&Method::GET, "mappings") => self.look_at_mappings(rest, parts.uri.query()).await,
            (&Method::POST, "mappings") => self.change_mappings(rest, &parts.headers, body).await,
            (&Method::POST, "backfill") => self.backfill(rest, &parts.headers, body).await,
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "not this method\n".to_owned())),
        };
        answer.unwrap_or_else(|(status, told)| reply(status, TEXT, told))
    }

    async fn settle<B>(self, dry_run: bool, headers: &HeaderMap, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        if !dry_run {
            let _: Decision = read(headers, body).await?;
        }
        let found = self.transom.outbox().settle(dry_run).await;
        json(StatusCode::OK, &found.map_err(|error| outbox::refusal(&error))?)
    }

    async fn look_at_outbox(self, job: &str) -> Answer {
        let outbox = self.transom.outbox();
        if job.is_empty() { outbox::list(outbox).await } else { outbox::show(&outbox, job).await }
    }

    async fn change_outbox<B>(self, path: &str, headers: &HeaderMap, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let decision: Decision = read(headers, body).await?;
        let outbox = self.transom.outbox();
        match path.split_once('/') {
            Some((job, what)) => outbox::decide(&outbox, job, what, decision).await,
            None if path == "pause" => outbox::pause(&outbox, true).await,
            None if path == "resume" => outbox::pause(&outbox, false).await,
            None => Err(not_found()),
        }
    }

    async fn look_at_mappings(self, path: &str, query: Option<&str>) -> Answer {
        let store = self.transom.engine().store.clone();
        let parameter = |wanted: &str| {
            let mut all = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            all.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
        };
        match path {
            "" => mappings::list(store, parameter("kind")).await,
            "export" => mappings::export(store).await,
            path => {
                let (kind, id) = mappings::named(path).ok_or_else(not_found)?;
                let key = mappings::key(&kind, &id, parameter("host").as_deref());
                let key = key.map_err(|error| bad(format!("{id:?} is {error}")))?;
                mappings::show(&*store, &key).await
            }
        }
    }

    async fn change_mappings<B>(self, path: &str, headers: &HeaderMap, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let engine = self.transom.engine();
        match path {
            "remove" => {
                let removal: Removal = read(headers, body).await?;
                mappings::remove(&self.transom.outbox(), &removal).await
            }
            "import" => {
                no_page(headers, "application/x-ndjson")?;
                mappings::import(engine.store.clone(), engine.background.clone(), body).await
            }
            _ => Err(not_found()),
        }
    }

    async fn backfill<B>(self, path: &str, headers: &HeaderMap, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Some(backfill) = &self.backfill else {
            let told = "this service fetches no documents: it does not know the app\n";
            return Err((StatusCode::NOT_FOUND, told.to_owned()));
        };
        let failed = |error: BackfillError| {
            let status = match error {
                BackfillError::Asked(_) => StatusCode::UNPROCESSABLE_ENTITY,
                BackfillError::App(_) => StatusCode::BAD_GATEWAY,
                BackfillError::Store => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n"))
        };
        match path {
            "look" => {
                let look: Look = read(headers, body).await?;
                json(StatusCode::OK, &backfill.look(&look).await.map_err(failed)?)
            }
            "bring" => {
                let bring: Bring = read(headers, body).await?;
                json(StatusCode::OK, &backfill.bring(&bring).await.map_err(failed)?)
            }
            "page" => {
                let turn: Turn = read(headers, body).await?;
                json(StatusCode::OK, &backfill.page(&turn).await.map_err(failed)?)
            }
            _ => Err(not_found()),
        }
    }

    async fn explain<B>(self, parts: &Parts, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Some(questions) = &self.questions else {
            let told = "this service explains no requests: it does not know the app\n";
            return Err((StatusCode::NOT_FOUND, told.to_owned()));
        };
        let asked: Asked = read(&parts.headers, body).await?;
        let request = asked.request().map_err(bad)?;
        let client = parts.extensions.get::<ClientInfo>().map(|client| {
            let tls = self.transom.engine().config.server.tls.is_some();
            ClientInfo { tls, ..*client }
        });
        json(StatusCode::OK, &questions.explain(request, client).await)
    }

    async fn arm<B>(self, parts: &Parts, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let wanted: Wanted = read(&parts.headers, body).await?;
        let client = parts.extensions.get::<ClientInfo>().map(|client| client.peer.ip());
        let id = self.transom.engine().watch.arm(wanted, client).map_err(bad)?;
        json(StatusCode::CREATED, &serde_json::json!({ "trace": id }))
    }

    async fn trace(self, id: &str, query: Option<&str>) -> Answer {
        let wait = query.and_then(|query| query.strip_prefix("wait=")?.parse().ok());
        let wait = Duration::from_secs(wait.unwrap_or(0)).min(LONGEST_WAIT);
        let gone = |status, told: &str| Err((status, format!("{told}\n")));
        match self.transom.engine().watch.progress(id, wait).await {
            Progress::Told(explanation) => json(StatusCode::OK, &explanation),
            Progress::Waiting => {
                json(StatusCode::ACCEPTED, &serde_json::json!({ "waiting": true }))
            }
            Progress::Expired => gone(StatusCode::GONE, "no such request came in time"),
            Progress::Unknown => gone(StatusCode::NOT_FOUND, "no such trace, or not any more"),
        }
    }
}

/// The content type and the missing `Origin` tell that no web page asks: a browser on the operator's machine
/// must not be made to.
fn no_page(headers: &HeaderMap, content_type: &str) -> Result<(), (StatusCode, String)> {
    if headers.contains_key(ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "not for web pages\n".to_owned()));
    }
    if headers.get(CONTENT_TYPE).is_none_or(|value| value != content_type) {
        let told = format!("expected content-type: {content_type}\n");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, told));
    }
    Ok(())
}

async fn read<T, B>(headers: &HeaderMap, body: B) -> Result<T, (StatusCode, String)>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    no_page(headers, "application/json")?;
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {MAX_BODY} bytes\n"))
    })?;
    // What serde says may hold what was sent, so only the place is told.
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        bad(format!("not understood at line {}, column {}", error.line(), error.column()))
    })
}

pub(super) fn not_found() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, "not found\n".to_owned())
}

pub(super) fn bad(told: impl Display) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, format!("{told}\n"))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_string(value);
    let body = body.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
    Ok(reply(status, "application/json", format!("{body}\n")))
}

/// A request's head may have 64 KiB.
const MAX_BODY: usize = 128 << 10;
const LONGEST_WAIT: Duration = Duration::from_secs(20);
