//! What the lanes tell about one request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Extensions, HeaderValue};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::auth::Caller;
use crate::dws::Session;
use crate::reason::Reason;
use crate::session::Wanted;

/// Travels with a request that is to be explained, as an extension. A request without one costs a look at its
/// extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    told: Mutex<Told>,
    /// Taken as verified.
    caller: Option<Caller>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) steps: Vec<Step>,
    pub(crate) lane: Option<&'static str>,
    pub(crate) decision: Option<Reason>,
    pub(crate) permissions: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) check: &'static str,
    pub(crate) finding: Finding,
    pub(crate) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    Yes,
    No,
    /// Neither for nor against.
    Told,
}

impl Trail {
    #[cfg(feature = "cli")]
    pub(crate) fn with_caller(caller: Option<Caller>) -> Self {
        Self(Arc::new(Shared { told: Mutex::default(), caller }))
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// `tell` is called only if somebody listens.
    pub(crate) fn step(
        extensions: &Extensions,
        check: &'static str,
        tell: impl FnOnce() -> (Finding, String),
    ) {
        if let Some(trail) = Self::of(extensions) {
            let (finding, detail) = tell();
            trail.told().steps.push(Step { check, finding, detail });
        }
    }

    pub(crate) fn decided(extensions: &Extensions, reason: Reason) {
        if let Some(trail) = Self::of(extensions) {
            trail.told().decision = Some(reason);
        }
    }

    pub(crate) fn lane(extensions: &Extensions, lane: &'static str) {
        if let Some(trail) = Self::of(extensions) {
            trail.told().lane = Some(lane);
        }
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.0.caller.as_ref()
    }

    /// What stands for the session that DWS would be asked for.
    pub(crate) fn session(&self, wanted: &Wanted, expires: u64) -> Arc<Session> {
        self.told().permissions = wanted.permissions.names();
        Arc::new(Session {
            jwt: "the-session".to_owned().into(),
            header: HeaderValue::from_static("the-session"),
            document_id: wanted.document_id.clone(),
            expires,
            permissions: wanted.permissions,
            server_url: None,
            recorded: OnceCell::new(),
        })
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finding {
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}
