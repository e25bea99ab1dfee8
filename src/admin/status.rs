//! `GET /status`: what an operator wants to know first, for `transom status`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Health, Readiness};
use crate::engine::Transom;
use crate::telemetry::OutboxFigures;

/// How Transom is, as JSON. Also what the command reads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    /// The version that answers.
    pub(crate) transom: String,
    /// `ready`, `degraded`, `unready`, `draining`, or `stopped` where none runs.
    pub(crate) status: String,
    /// The folder of the store, as the process that has it sees it.
    pub(crate) store: String,
    #[serde(default)]
    pub(crate) dependencies: Vec<DependencyState>,
    /// Absent where the store can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outbox: Option<JobCounts>,
}

/// How a dependency is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DependencyState {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) detail: String,
}

/// What is still to be delivered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobCounts {
    pub(crate) due: u64,
    pub(crate) sending: u64,
    pub(crate) parked: u64,
    pub(crate) oldest_seconds: u64,
    /// An operator has stopped deliveries.
    pub(crate) paused: bool,
}

impl JobCounts {
    pub(crate) fn new(figures: &OutboxFigures, paused: bool) -> Self {
        let OutboxFigures { due, sending, parked, oldest } = *figures;
        Self { due, sending, parked, oldest_seconds: oldest.as_secs(), paused }
    }
}

pub(super) async fn of(transom: &Transom, health: &dyn Health) -> StatusReport {
    let dependencies = health.dependencies();
    let status = word(&Readiness::of(&dependencies, health.is_draining()));
    let state = |dependency: &crate::dependencies::Dependency| DependencyState {
        name: dependency.name.to_owned(),
        status: word(&dependency.status),
        detail: dependency.detail.clone(),
    };
    let outbox = transom.outbox();
    let figures = timeout(PATIENCE, outbox.figures()).await;
    let jobs = figures.ok().and_then(Result::ok);
    StatusReport {
        transom: env!("CARGO_PKG_VERSION").to_owned(),
        status,
        store: shown(&transom.engine().config.store.path),
        dependencies: dependencies.iter().map(state).collect(),
        outbox: jobs.map(|figures| JobCounts::new(&figures, outbox.is_paused())),
    }
}

/// The same for every way to write it.
pub(crate) fn shown(folder: &Path) -> String {
    let path = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    path.unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

/// A word of an enum as it is in JSON.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A store that does not answer is told of by its dependency.
const PATIENCE: Duration = Duration::from_secs(2);
