//! What the lanes tell about one request, step by step, to a [`Trail`] that travels with it.

mod watch;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Extensions, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::watch::Sender;

pub(crate) use self::watch::{Progress, Wanted, Watch};

use crate::events::{Event, Listener, Origin};
use crate::reason::Reason;
use crate::session_token::Permissions;
use crate::telemetry::Visit;

/// Travels with a request that is to be explained, as an extension. A request without one costs a look at its
/// extensions.
#[derive(Clone, Debug)]
pub(crate) struct Trail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: Mutex<Explanation>,
    /// Of a request that is watched. Told when the last part of it is gone.
    listener: Option<Sender<Option<Explanation>>>,
}

/// What happens to a request, or would, and the steps to it. Never holds a token or a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// Method and path.
    pub(crate) request: String,
    pub(crate) lane: Cow<'static, str>,
    /// `session_given`, or why there is none; nothing where no session is due.
    pub(crate) decision: Option<Reason>,
    pub(crate) permissions: Vec<Cow<'static, str>>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) check: Cow<'static, str>,
    pub(crate) finding: Finding,
    pub(crate) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    Yes,
    No,
    /// Neither for nor against.
    Told,
}

impl Trail {
    /// Goes with the request from now on. A query may hold tokens, so it is left out.
    pub(crate) fn begin<B>(
        request: &mut Request<B>,
        listener: Option<Sender<Option<Explanation>>>,
    ) -> Self {
        let about = format!("{} {}", request.method(), request.uri().path());
        let told = Explanation { request: about, lane: PASS.into(), ..Explanation::default() };
        let trail = Self(Arc::new(Shared { told: Mutex::new(told), listener }));
        request.extensions_mut().insert(trail.clone());
        trail
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Extensions with nothing but who listens, for what goes on when the request is gone.
    pub(crate) fn alone(extensions: &Extensions) -> Extensions {
        let mut alone = Extensions::new();
        if let Some(trail) = Self::of(extensions) {
            alone.insert(trail.clone());
        }
        if let Some(visit) = Visit::of(extensions) {
            alone.insert(visit.clone());
        }
        alone
    }

    /// `tell` is called only if somebody listens.
    pub(crate) fn step(
        extensions: &Extensions,
        check: &'static str,
        tell: impl FnOnce() -> (Finding, String),
    ) {
        if let Some(trail) = Self::of(extensions) {
            let (finding, detail) = tell();
            let step = Step { check: check.into(), finding, detail };
            let mut told = trail.told();
            if told.steps.len() < MAX_STEPS {
                told.steps.push(step);
            }
        }
    }

    pub(crate) fn lane(extensions: &Extensions, lane: &'static str) {
        if let Some(trail) = Self::of(extensions) {
            trail.told().lane = lane.into();
        }
    }

    pub(crate) fn granted(extensions: &Extensions, permissions: Permissions) {
        if let Some(trail) = Self::of(extensions) {
            trail.told().permissions = permissions.names().into_iter().map(Cow::from).collect();
        }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Explanation> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes each decision to the trail of its request.
pub(crate) struct Following;

impl Listener for Following {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        if let (Some(reason), Some(trail)) =
            (event.decision(), origin.extensions.and_then(Trail::of))
        {
            let mut told = trail.told();
            told.decision = Some(reason);
            #[cfg(feature = "cli")]
            if matches!(event, Event::Refused { .. }) {
                told.lane = "refused".into();
            }
        }
    }
}

impl Explanation {
    pub(crate) fn has_session(&self) -> bool {
        self.decision == Some(Reason::SessionGiven)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
            listener.send_replace(Some(std::mem::take(told)));
        }
    }
}

impl Finding {
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

const PASS: &str = "pass";
/// A configuration has hundreds of routes at most, and each of them is a step.
const MAX_STEPS: usize = 2000;
