//! What the admin listener tells of single requests, `POST /explain`, `POST /trace` and `GET /trace/{id}`, and of what
//! happens, `GET /events`.

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

use crate::engine::Transom;
use crate::explain::{Asked, Questions};
use crate::http::BoxError;
use crate::http::ClientInfo;
use crate::trail::{Progress, Wanted};

use super::{AdminBody, Closes, TEXT, live, reply};

/// Explains requests, and tells what happens.
#[derive(Clone)]
pub(super) struct Operator {
    /// `None`: there is no app that could be asked.
    pub(super) questions: Option<Questions>,
    pub(super) transom: Transom,
    /// When streams have to end.
    pub(super) closes: Closes,
}

/// Whether this path is answered here.
pub(super) fn is_ours(path: &str) -> bool {
    path == "/events" || path == "/explain" || path == "/trace" || path.starts_with("/trace/")
}

type Answer = Result<Response<AdminBody>, (StatusCode, String)>;

impl Operator {
    pub(super) async fn answer<B>(self, request: Request<B>) -> Response<AdminBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let answer = match (&parts.method, path.strip_prefix("/trace/")) {
            (&Method::GET, None) if path == "/events" => {
                Ok(live::answer(self.transom.engine().events.feed(), self.closes))
            }
            (&Method::GET, Some(id)) => self.trace(id, parts.uri.query()).await,
            (&Method::POST, None) if path == "/explain" => self.explain(&parts, body).await,
            (&Method::POST, None) if path == "/trace" => self.arm(&parts, body).await,
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "not this method\n".to_owned())),
        };
        answer.unwrap_or_else(|(status, told)| reply(status, TEXT, told))
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
async fn read<T, B>(headers: &HeaderMap, body: B) -> Result<T, (StatusCode, String)>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if headers.contains_key(ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "not for web pages\n".to_owned()));
    }
    if headers.get(CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        let told = "expected content-type: application/json\n".to_owned();
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, told));
    }
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {MAX_BODY} bytes\n"))
    })?;
    // What serde says may hold what was sent, so only the place is told.
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        bad(format!("not understood at line {}, column {}", error.line(), error.column()))
    })
}

fn bad(told: impl Display) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, format!("{told}\n"))
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_string(value);
    let body = body.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
    Ok(reply(status, "application/json", format!("{body}\n")))
}

/// A request's head may have 64 KiB.
const MAX_BODY: usize = 128 << 10;
const LONGEST_WAIT: Duration = Duration::from_secs(20);
