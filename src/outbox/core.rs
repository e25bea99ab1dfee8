//! What the request path and the worker share.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::clock::Clock;
use super::hints::Hints;
use super::remote::Files;
use super::writes::Writes;
use crate::backend::Current;
use crate::store::DocumentStore;
use crate::telemetry::Metrics;

pub(super) struct Core {
    pub(super) store: Arc<dyn DocumentStore>,
    pub(super) files: Arc<dyn Files>,
    pub(super) backend: Arc<Current>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) hints: Hints,
    pub(super) writes: Writes,
    /// Told whenever a mapping may have stopped being pending.
    pub(super) settled: Notify,
}

impl Core {
    /// Removes spool files that no job needs any more. One that stays is swept at the next start.
    pub(super) async fn remove_files(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let files = Arc::clone(&self.files);
        let removing = spawn_blocking(move || {
            for name in names {
                if let Err(error) = files.remove(&name) {
                    tracing::warn!(%error, file = name, "a spool file could not be removed");
                }
            }
        });
        // Fails only when the runtime is going down.
        let _ = removing.await;
    }
}
