//! From somebody who asks to a session, or to the reason why not. The app's own word is not in
//! here: each lane gets it where it fits.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::Extensions;
use http::request::Parts;
use secrecy::ExposeSecret;

use super::behalf::{CREDENTIALS, query_tokens, token_headers};
use super::document::{Sought, Waiting, known, known_at_once};
use super::policy::Policy;
use super::{Inner, tell};
use crate::audit::{Audit, Entry, Who, token_hash};
use crate::auth::{Caller, Refusal};
use crate::config::{AppSays, Kind, ViewRule};
use crate::document::DocumentKey;
use crate::dws::Session;
use crate::engine::Engine;
use crate::explain::Trail;
use crate::mapping::{Mapping, Observed, now_ms};
use crate::reason::Reason;
use crate::session::Holder;
use crate::telemetry::{Rfc3339, request_id};

/// Somebody who asks for a document.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(super) caller: Option<Caller>,
    pub(super) holder: Holder,
    pub(super) anew: bool,
}

impl Asker {
    /// Reads the app's token. Where the rule does not insist on one, a valid one still counts.
    pub(crate) async fn recognise(
        engine: &Engine,
        rule: &ViewRule,
        parts: &Parts,
    ) -> Result<Self, Reason> {
        let caller = match caller(engine, rule, parts).await {
            Ok(caller) => Some(caller),
            Err(_) if !rule.authorize.token => None,
            Err(refusal) => {
                tracing::debug!(code = %refusal.reason, detail = refusal.detail, "no caller");
                return Err(refusal.reason);
            }
        };
        Ok(Self::new(engine, caller, parts))
    }

    /// The same where nobody is asked for keys; not for a request that is explained. `None`: it takes
    /// [`recognise`](Self::recognise).
    pub(crate) fn at_once(engine: &Engine, rule: &ViewRule, parts: &Parts) -> Option<Self> {
        let caller = match engine.authenticator.recall(parts, &rule.identity)? {
            Ok(caller) => Some(caller),
            Err(_) if !rule.authorize.token => None,
            Err(_) => return None,
        };
        Some(Self::new(engine, caller, parts))
    }

    fn new(engine: &Engine, caller: Option<Caller>, parts: &Parts) -> Self {
        let holder = match &caller {
            Some(caller) => {
                Holder::User { identity: caller.identity.clone(), user: caller.user.clone() }
            }
            None => Holder::Credentials(credentials(engine, parts)),
        };
        Self { caller, holder, anew: false }
    }

    /// Whether the session handed out before has been refused.
    pub(crate) fn wanting_anew(self, anew: bool) -> Self {
        Self { anew, ..self }
    }
}

async fn caller(engine: &Engine, rule: &ViewRule, parts: &Parts) -> Result<Caller, Refusal> {
    let assumed = Trail::of(&parts.extensions).and_then(Trail::caller);
    let counts = |caller: &Caller| {
        rule.identity.is_empty() || rule.identity.iter().any(|name| *name == *caller.identity)
    };
    let found = match assumed {
        Some(Ok(caller)) if !counts(caller) => Err(Refusal::missing()),
        Some(assumed) => assumed.clone(),
        None => engine.authenticator.authenticate(parts, &rule.identity).await,
    };
    tell::caller(engine, rule, &found, &parts.extensions);
    found
}

/// What a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For the app, in its request.
    RequestHeader,
    /// In the app's reply.
    Reply,
    /// A page instead of the app's reply, which will ask for the session itself.
    Page,
    /// Transom's own endpoint.
    Endpoint,
    /// The same page at Transom's own address.
    OwnPage,
}

impl Purpose {
    fn waiting(self) -> Waiting {
        match self {
            Self::RequestHeader | Self::Reply | Self::Page => Waiting::WithTheApp,
            Self::Endpoint | Self::OwnPage => Waiting::Alone,
        }
    }

    /// How the session leaves, if it does.
    fn way_out(self) -> Option<&'static str> {
        match self {
            Self::RequestHeader => Some("request_header"),
            Self::Reply => Some("reply"),
            Self::Endpoint => Some("endpoint"),
            Self::Page | Self::OwnPage => None,
        }
    }
}

/// What a caller may have of a document that Transom knows.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) session: Arc<Session>,
}

/// What [`grant`] would say, where all that it asks for is in memory; not for a request that is explained. `None`:
/// it has to be asked. `seen`: what the app has just said of its bytes. `head` may be missing where the rule does not look at the request.
pub(crate) fn grant_at_once(
    engine: &Engine,
    rule: &ViewRule,
    kind: &Kind,
    key: &DocumentKey,
    asker: &Asker,
    head: Option<&Parts>,
    seen: Option<&Observed>,
    purpose: Purpose,
) -> Option<Result<Granted, Reason>> {
    let nobody_listens = Extensions::new();
    let policy = Policy::new(engine, rule, asker, head, &nobody_listens);
    if let Err(reason) = policy.check_without_document() {
        return Some(Err(reason));
    }
    let mapping = known_at_once(engine, kind, key, seen)?;
    let wanted = match policy.wanted(&mapping) {
        Ok(wanted) => wanted,
        Err(reason) => return Some(Err(reason)),
    };
    let session = match engine.broker.recall(&wanted)? {
        Ok(session) => session,
        Err(reason) => return Some(Err(reason)),
    };
    let on_record = match &engine.audit {
        None => true,
        Some(audit) => purpose.way_out().is_some() && is_on_record(audit, &session),
    };
    if !on_record {
        return None;
    }
    engine.metrics.session_cache(true);
    Some(Ok(Granted { mapping, session }))
}

/// Policy, document, session, in this order; the app has said yes before. A document that DWS has lost is
/// looked for once more in the app.
pub(crate) async fn grant<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    seen: Option<&Observed>,
    purpose: Purpose,
) -> Result<Granted, Reason> {
    match attempt(engine, inner, rule, key, asker, parts, seen, purpose).await {
        Ok(granted) => Ok(granted),
        Err(Refused::Because(reason)) => Err(reason),
        Err(Refused::Lost { document_id }) => {
            engine.outbox.lost(key, document_id).await?;
            // Boxed, since it is rare.
            let again = attempt(engine, inner, rule, key, asker, parts, seen, purpose);
            let again = Box::pin(again).await;
            again.map_err(|refused| match refused {
                Refused::Because(reason) => reason,
                Refused::Lost { .. } => Reason::DocumentLost,
            })
        }
    }
}

/// Why there is no session.
enum Refused {
    Because(Reason),
    /// DWS has just said that it no longer has this document.
    Lost {
        document_id: String,
    },
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

async fn attempt<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    seen: Option<&Observed>,
    purpose: Purpose,
) -> Result<Granted, Refused> {
    let waiting = purpose.waiting();
    let policy = Policy::new(engine, rule, asker, Some(parts), &parts.extensions);
    policy.check_without_document()?;
    let sought = Sought { engine, rule, key, asker, parts, seen, waiting };
    let mapping = known(sought, inner).await;
    let told = mapping.as_deref().map_err(|reason| *reason);
    tell::document(engine, key, told, &parts.extensions);
    let mapping = mapping?;
    let wanted = policy.wanted(&mapping)?;
    let patience = (waiting == Waiting::WithTheApp).then_some(PATIENCE);
    let session = match Trail::of_asked(&parts.extensions) {
        Some(_) => Trail::session(&wanted, wanted.end(now_ms() / 1000)?),
        None => {
            let session = engine.broker.session(&wanted, patience).await;
            let session = session.map_err(|reason| match reason {
                Reason::DocumentLost => {
                    Refused::Lost { document_id: wanted.document_id.to_owned() }
                }
                reason => Refused::Because(reason),
            })?;
            match (&engine.audit, purpose.way_out()) {
                (None, _) => {}
                (Some(audit), Some(via)) => {
                    record(audit, rule, key, asker, parts, &session, via).await?;
                }
                // The session that the page will ask for could not be given.
                (Some(audit), None) => audit.check()?,
            }
            session
        }
    };
    Trail::granted(&parts.extensions, session.permissions);
    Ok(Granted { mapping, session })
}

/// Puts the session on record: once, or each time where that is wanted.
async fn record(
    audit: &Audit,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    session: &Session,
    via: &'static str,
) -> Result<(), Reason> {
    if is_on_record(audit, session) {
        return Ok(());
    }
    let again = session.recorded.initialized();
    let asked = [
        (asker.caller.is_some(), "token"),
        (rule.authorize.app != AppSays::NotAsked, "app"),
        (rule.allow.is_some(), "policy"),
    ];
    let who = match &asker.holder {
        Holder::User { identity, user } => Who::User { identity, user },
        Holder::Credentials(sum) => Who::Caller { caller: audit.pseudonym(sum) },
    };
    let entry = Entry {
        event: Reason::SessionGiven,
        who,
        kind: key.kind(),
        host: key.host(),
        id: key.id(),
        document_id: &session.document_id,
        permissions: session.permissions.names(),
        rule: &rule.name,
        yes: asked.into_iter().filter_map(|(yes, who)| yes.then_some(who)).collect(),
        until: Rfc3339(Duration::from_secs(session.expires)),
        session: token_hash(session.jwt.expose_secret()),
        via,
        again,
        request_id: request_id::of(&parts.headers),
    };
    let written = || audit.record(&entry);
    match again {
        true => written().await,
        // Whoever gets the same session at the same time waits for the same line.
        false => session.recorded.get_or_try_init(written).await.copied(),
    }
}

/// Whether this session needs no line in the audit log, or no other one.
fn is_on_record(audit: &Audit, session: &Session) -> bool {
    session.recorded.initialized() && !audit.wants_every_hand_out()
}

/// One hash of everything that the app may know a caller by.
fn credentials(engine: &Engine, parts: &Parts) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut add = |name: &str, value: &[u8]| {
        for item in [name.as_bytes(), value] {
            hash.update(&(item.len() as u64).to_be_bytes());
            hash.update(item);
        }
    };
    for name in CREDENTIALS.iter().chain(token_headers(engine)) {
        for value in parts.headers.get_all(name) {
            add(name.as_str(), value.as_bytes());
        }
    }
    query_tokens(engine, parts).for_each(|(name, value)| add(&name, value.as_bytes()));
    let mut sum = [0; 32];
    sum.copy_from_slice(hash.finish().as_ref());
    sum
}

/// How long a reply of the app waits for a session to be minted.
const PATIENCE: Duration = Duration::from_secs(2);
