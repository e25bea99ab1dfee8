//! What the lanes tell about one request, step by step, to a [`Trail`] that travels with it.

mod values;
mod watch;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Extensions, HeaderValue, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::watch::Sender;

pub(crate) use self::values::looked_at;
pub(crate) use self::watch::{Progress, Wanted, Watch};

use crate::auth::{Caller, Refusal};
use crate::backend::SessionToken;
use crate::config::Permissions;
use crate::events::{Event, Hypothetical, Listener, Origin};
use crate::reason::Reason;
use crate::session::{self, OnRecord, Session};
use crate::telemetry::Visit;

/// Travels with a request that is to be explained, as an extension. A request without one costs a look at its
/// extensions.
#[derive(Clone, Debug)]
pub(crate) struct Trail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: Mutex<Explanation>,
    purpose: Purpose,
}

/// Why somebody listens.
#[derive(Debug)]
enum Purpose {
    /// The request is asked about and not made: nothing is stored, minted, fetched or counted. The caller may
    /// be given instead of being recognised.
    Question(Option<Result<Caller, Refusal>>),
    /// The request is a real one. Told when the last part of it is gone.
    Live(Sender<Option<Explanation>>),
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
    /// Makes a question of the request: nothing of it happens. `caller` is taken for the truth if there is one.
    pub(crate) fn of_question<B>(
        request: &mut Request<B>,
        caller: Option<Result<Caller, Refusal>>,
    ) -> Self {
        let trail = Self::with(Purpose::Question(caller), request);
        request.extensions_mut().insert(trail.clone());
        request.extensions_mut().insert(Hypothetical);
        trail
    }

    /// For a real request.
    pub(crate) fn of_live<B>(request: &Request<B>, listener: Sender<Option<Explanation>>) -> Self {
        Self::with(Purpose::Live(listener), request)
    }

    /// A query may hold tokens, so it is left out.
    fn with<B>(purpose: Purpose, request: &Request<B>) -> Self {
        let request = format!("{} {}", request.method(), request.uri().path());
        let told = Explanation { request, lane: PASS.into(), ..Explanation::default() };
        Self(Arc::new(Shared { told: Mutex::new(told), purpose }))
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The trail of a request that is only asked about.
    pub(crate) fn of_asked(extensions: &Extensions) -> Option<&Self> {
        Self::of(extensions).filter(|trail| matches!(trail.0.purpose, Purpose::Question(_)))
    }

    /// Extensions with nothing but who listens, for what goes on when the request is gone.
    pub(crate) fn alone(extensions: &Extensions) -> Extensions {
        let mut alone = Extensions::new();
        if let Some(trail) = Self::of(extensions) {
            alone.insert(trail.clone());
        }
        if let Some(hypothetical) = extensions.get::<Hypothetical>() {
            alone.insert(*hypothetical);
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

    pub(crate) fn decided(extensions: &Extensions, reason: Reason) {
        if let Some(trail) = Self::of(extensions) {
            trail.told().decision = Some(reason);
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

    /// Who is taken to ask.
    pub(crate) fn caller(&self) -> Option<&Result<Caller, Refusal>> {
        match &self.0.purpose {
            Purpose::Question(caller) => caller.as_ref(),
            Purpose::Live(_) => None,
        }
    }

    /// What stands for the session that DWS would be asked for; none is minted for a question.
    pub(crate) fn session(wanted: &session::Wanted<'_>, expires: u64) -> Arc<Session> {
        let token = SessionToken {
            jwt: "the-session".to_owned().into(),
            header: HeaderValue::from_static("the-session"),
            document_id: wanted.document_id.to_owned(),
            expires,
            permissions: wanted.permissions,
            server_url: None,
        };
        Arc::new(Session { token, on_record: OnRecord::default() })
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Explanation> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes each decision to the trail of its request.
pub(crate) struct Following;

impl Listener for Following {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        if let (Some(reason), Some(extensions)) = (event.decision(), origin.extensions) {
            Trail::decided(extensions, reason);
        }
    }

    fn hears_hypothetical(&self) -> bool {
        true
    }
}

impl Explanation {
    pub(crate) fn has_session(&self) -> bool {
        self.decision == Some(Reason::SessionGiven)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Purpose::Live(listener) = &self.purpose {
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
