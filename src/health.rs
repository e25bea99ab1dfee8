//! Whether DWS takes our key: asked at the start, and again until it does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::backend::{Backend, BackendErrorKind};

/// What the last check of the DWS key said. Ends its checks when dropped.
#[derive(Debug)]
pub(crate) struct BackendHealth {
    state: Arc<ArcSwap<State>>,
    task: JoinHandle<()>,
}

/// One check's result; the text is a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    NotAsked,
    Good,
    Bad(String),
}

impl BackendHealth {
    /// Starts checking on the current runtime.
    pub(crate) fn watch(backend: Arc<dyn Backend>) -> Self {
        let state = Arc::new(ArcSwap::from_pointee(State::NotAsked));
        let task = tokio::spawn(check_until_good(backend, state.clone()));
        Self { state, task }
    }

    /// Asks nobody.
    pub(crate) fn unwatched() -> Self {
        let state = Arc::new(ArcSwap::from_pointee(State::NotAsked));
        Self { state, task: tokio::spawn(std::future::ready(())) }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }
}

impl Drop for BackendHealth {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn check_until_good(backend: Arc<dyn Backend>, state: Arc<ArcSwap<State>>) {
    loop {
        match backend.check().await {
            Ok(()) => {
                info!("DWS accepts the key");
                state.store(Arc::new(State::Good));
                return;
            }
            Err(error) => {
                let told = State::Bad(error.detail.clone());
                // Said once, not every half minute.
                if *state.load_full() != told {
                    match error.kind {
                        BackendErrorKind::KeyRefused | BackendErrorKind::Forbidden => {
                            error!(
                                "{}; uploads wait in the journal until this is mended",
                                error.detail
                            );
                        }
                        _ => warn!("{}; uploads wait in the journal meanwhile", error.detail),
                    }
                }
                state.store(Arc::new(told));
            }
        }
        tokio::time::sleep(RECHECK).await;
    }
}

const RECHECK: Duration = Duration::from_secs(30);
