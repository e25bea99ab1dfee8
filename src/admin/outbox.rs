//! `GET /outbox`, `GET /outbox/{job}`, `POST /outbox/{job}/{retry,drop,bind}` and `POST /outbox/{pause,resume}`.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lines::{self, line};
use super::operator::{Answer, json, not_found};
use crate::outbox::{JobLine, OutboxError, OutboxHandle};
use crate::store::JobId;

/// What may be done about a job. Also what the command sends.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// DWS's id, for `bind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document_id: Option<String>,
}

pub(super) async fn list(outbox: OutboxHandle) -> Answer {
    lines::answer(lines::pages(move |after| {
        let outbox = outbox.clone();
        async move {
            let page = outbox.jobs(after, PAGE).await?;
            let lines = page.iter().map(|job| line(&JobLine::from(job))).collect();
            Ok(page.last().map(|last| (lines, last.id)))
        }
    }))
    .await
}

pub(super) async fn show(outbox: &OutboxHandle, job: &str) -> Answer {
    let job = number(job)?;
    match outbox.job(job).await {
        Ok(Some(job)) => json(StatusCode::OK, &JobLine::from(&job)),
        Ok(None) => Err(refusal(&OutboxError::Missing(job))),
        Err(error) => Err(refusal(&error.into())),
    }
}

pub(super) async fn decide(
    outbox: &OutboxHandle,
    job: &str,
    what: &str,
    decision: Decision,
) -> Answer {
    let job = number(job)?;
    let (decided, outcome) = match (what, decision.document_id) {
        ("retry", None) => (outbox.retry(job).await, "retried"),
        ("drop", None) => (outbox.discard(job).await, "dropped"),
        ("bind", Some(document_id)) => (outbox.bind(job, &document_id).await, "bound"),
        ("bind", None) | ("retry" | "drop", Some(_)) => {
            let told = "`document_id` belongs to `bind`, and to nothing else\n";
            return Err((StatusCode::BAD_REQUEST, told.to_owned()));
        }
        _ => return Err(not_found()),
    };
    decided.map_err(|error| refusal(&error))?;
    json(StatusCode::OK, &json!({ "id": job.0, "outcome": outcome }))
}

pub(super) async fn pause(outbox: &OutboxHandle, paused: bool) -> Answer {
    let set = if paused { outbox.pause().await } else { outbox.resume().await };
    set.map_err(|error| refusal(&error))?;
    json(StatusCode::OK, &json!({ "paused": paused }))
}

fn number(job: &str) -> Result<JobId, (StatusCode, String)> {
    job.parse().map(JobId).map_err(|_| not_found())
}

pub(super) fn refusal(error: &OutboxError) -> (StatusCode, String) {
    let status = match error {
        OutboxError::Missing(_) | OutboxError::NoDocument(_) => StatusCode::NOT_FOUND,
        OutboxError::NotParked(_) | OutboxError::Changed(_) | OutboxError::Taken { .. } => {
            StatusCode::CONFLICT
        }
        OutboxError::Store(_) | OutboxError::Backend(_) | OutboxError::NotKept(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, format!("{error}\n"))
}

const PAGE: usize = 256;
