//! Faults on order: what a rule looks like, which one is next, and the replies they make.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reply::{self, Reply};
use super::routes::RouteName;

/// A fault for the next requests of a route.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FaultRule {
    pub(super) route: RouteName,
    #[serde(flatten)]
    pub(super) fault: Fault,
    /// How often; absent: until it is taken away.
    pub(super) times: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub(super) enum Fault {
    /// An answer with this status, after the request was read.
    Status {
        status: u16,
        retry_after: Option<RetryAfter>,
        /// Instead of what this status usually comes with.
        body: Option<String>,
    },
    SlowHeaders {
        #[serde(default = "a_second")]
        delay_ms: u64,
    },
    /// The answer, one byte at a time.
    SlowBody {
        #[serde(default = "a_second")]
        delay_ms: u64,
    },
    /// The connection ends before anything was stored.
    ResetBefore,
    /// The connection ends after it was stored.
    ResetAfter,
    /// Success, but without the id, session or list it is about.
    NoId,
    InvalidJson,
    HugeError {
        #[serde(default = "a_mebibyte")]
        bytes: usize,
    },
    /// An error that repeats the caller's Authorization.
    EchoAuthorization,
    /// No answer, ever.
    Hang,
}

/// A number of seconds, or what the header shall say word by word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RetryAfter {
    Seconds(u64),
    Text(String),
}

impl FaultRule {
    /// # Errors
    /// A sentence for whoever wrote it.
    pub(super) fn read(written: &Value) -> Result<Self, String> {
        let rule = Self::deserialize(written).map_err(|error| error.to_string())?;
        // serde can't refuse unknown fields beside flattened ones.
        let known = serde_json::to_value(&rule).map_err(|error| error.to_string())?;
        let mut names = written.as_object().into_iter().flat_map(Map::keys);
        if let Some(unknown) = names.find(|name| known.get(name).is_none()) {
            return Err(format!("this fault has no field `{unknown}`"));
        }
        match rule {
            Self { times: Some(0), .. } => Err("`times` counts from 1".to_owned()),
            Self { fault: Fault::Status { status, .. }, .. } if !(200..=599).contains(&status) => {
                Err(format!("{status} is no status of an answer"))
            }
            rule => Ok(rule),
        }
    }
}

/// Takes the fault for a request of `route`: the first rule that fits.
pub(super) fn take(rules: &mut Vec<FaultRule>, route: RouteName) -> Option<Fault> {
    let index =
        rules.iter().position(|rule| rule.route == RouteName::Any || rule.route == route)?;
    let rule = rules.get_mut(index)?;
    let fault = rule.fault.clone();
    if let Some(times) = &mut rule.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            rules.remove(index);
        }
    }
    Some(fault)
}

impl Fault {
    /// `status 503`, `reset_after`: for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Status { status, .. } => format!("status {status}"),
            other => serde_json::to_value(other)
                .ok()
                .and_then(|value| Some(value.get("fault")?.as_str()?.to_owned()))
                .unwrap_or_default(),
        }
    }

    /// The reply of a fault that keeps the request from being handled at all.
    pub(super) fn reply(&self, authorization: &str) -> Option<Reply> {
        match self {
            Self::Status { status, retry_after, body } => {
                let mut reply = status_reply(*status, body.as_deref());
                match retry_after {
                    Some(RetryAfter::Seconds(wait)) => {
                        reply::set(&mut reply, RETRY_AFTER, &wait.to_string());
                    }
                    Some(RetryAfter::Text(wait)) => reply::set(&mut reply, RETRY_AFTER, wait),
                    None => {}
                }
                Some(reply)
            }
            Self::HugeError { bytes } => {
                let body = "x".repeat((*bytes).min(MAX_HUGE));
                Some(reply::text(StatusCode::BAD_REQUEST, &body))
            }
            Self::EchoAuthorization => Some(reply::json(
                StatusCode::BAD_REQUEST,
                &json!({ "error": { "details": format!("bad request; Authorization: {authorization}"), "requestId": "sandbox-request" } }),
            )),
            _ => None,
        }
    }

    /// What the fault makes of the reply that a handled request got; `None`: a reset.
    pub(super) fn spoil(&self, reply: Reply) -> Option<Reply> {
        Some(match self {
            Self::ResetAfter => return None,
            Self::NoId => reply::json(reply.status(), &json!({ "data": { "title": null } })),
            Self::InvalidJson => {
                let body = r#"{"data":{"document_id": "#;
                reply::with_type(reply.status(), "application/json", body)
            }
            Self::SlowBody { delay_ms } => slowly(reply, Duration::from_millis(*delay_ms)),
            _ => reply,
        })
    }
}

fn status_reply(status: u16, body: Option<&str>) -> Reply {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = code.canonical_reason().unwrap_or("Error");
    match (status, body) {
        (_, Some(body)) => reply::text(code, body),
        (500, None) => reply::with_type(code, "text/plain", ""),
        (502..=504, None) => {
            reply::html(code, format!("<html><body><h1>{status} {reason}</h1></body></html>\n"))
        }
        (400 | 422, None) => reply::json(code, &json!({ "error": reason })),
        (_, None) => reply::text(code, reason),
    }
}

fn slowly(reply: Reply, delay: Duration) -> Reply {
    let (parts, body) = reply.into_parts();
    let bytes = stream::unfold((Some(body), Bytes::new()), move |(body, mut left)| async move {
        if let Some(body) = body {
            left = body.collect().await.ok()?.to_bytes();
        }
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(delay).await;
        let byte = left.split_to(1);
        Some((Ok::<_, io::Error>(Frame::data(byte)), (None, left)))
    });
    Reply::from_parts(parts, StreamBody::new(bytes).boxed_unsync())
}

fn a_second() -> u64 {
    1_000
}

fn a_mebibyte() -> usize {
    1024 * 1024
}

const MAX_HUGE: usize = 64 * 1024 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_in_order_and_used_up() {
        let mut rules: Vec<FaultRule> = serde_json::from_value(json!([
            { "route": "upload", "fault": "status", "status": 503, "retry_after": "1", "times": 2 },
            { "route": "any", "fault": "hang" },
        ]))
        .unwrap();
        assert_eq!(take(&mut rules, RouteName::List), Some(Fault::Hang));
        assert_eq!(take(&mut rules, RouteName::Upload).unwrap().name(), "status 503");
        assert_eq!(take(&mut rules, RouteName::Upload).unwrap().name(), "status 503");
        assert_eq!(take(&mut rules, RouteName::Upload).unwrap().name(), "hang");
        assert_eq!(rules.len(), 1);
    }

    #[test]
    fn a_rule_that_is_not_understood_is_none() {
        let read = |rule: Value| FaultRule::read(&rule).unwrap_err();
        let status = |more: Value| {
            let mut rule = json!({ "route": "upload", "fault": "status", "status": 503 });
            rule.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            rule
        };
        assert!(FaultRule::read(&status(json!({ "retry_after": 7, "times": 1 }))).is_ok());
        assert_eq!(read(status(json!({ "count": 1 }))), "this fault has no field `count`");
        assert_eq!(read(status(json!({ "times": 0 }))), "`times` counts from 1");
        assert_eq!(read(status(json!({ "status": 99 }))), "99 is no status of an answer");
        assert_eq!(
            read(json!({ "route": "any", "fault": "hang", "delay_ms": 1 })),
            "this fault has no field `delay_ms`"
        );
    }
}
