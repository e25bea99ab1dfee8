//! From somebody who asks to a session, or to the reason why not. The app's own word is not in
//! here: each lane gets it where it fits.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::request::Parts;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;

use super::behalf::{CREDENTIALS, query_tokens, token_headers};
use super::fetch::fetch;
use super::{Inner, tell};
use crate::audit::{Audit, Entry, Who, token_hash};
use crate::auth::{Caller, Refusal};
use crate::config::{AppSays, ViewRule};
use crate::correlate::request_value;
use crate::document::DocumentKey;
use crate::dws::Session;
use crate::engine::Engine;
use crate::explain::{Finding, Trail};
use crate::mapping::{Mapping, MappingState, now_ms};
use crate::reason::Reason;
use crate::session::{Holder, Variables, Wanted, allowed, document_value, permissions};
use crate::telemetry::{Rfc3339, request_id};

/// Somebody who asks for a document.
#[derive(Debug)]
pub(crate) struct Asker {
    caller: Option<Caller>,
    holder: Holder,
    anew: bool,
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
        let holder = match &caller {
            Some(caller) => {
                Holder::User { identity: caller.identity.clone(), user: caller.user.clone() }
            }
            None => Holder::Credentials(credentials(engine, parts)),
        };
        Ok(Self { caller, holder, anew: false })
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

/// How long a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// A reply of the app waits with it: only in the first moments of a document, and not for a slow DWS.
    WithTheApp,
    /// Nothing but this answer waits.
    Alone,
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

/// Policy, document, session, in this order; the app has said yes before. A document that DWS has lost is
/// looked for once more in the app.
pub(crate) async fn grant<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    purpose: Purpose,
) -> Result<Granted, Reason> {
    match attempt(engine, inner, rule, key, asker, parts, purpose).await {
        Ok(granted) => Ok(granted),
        Err(Refused::Because(reason)) => Err(reason),
        Err(Refused::Lost { document_id }) => {
            engine.outbox.lost(key, document_id).await?;
            // Boxed, since it is rare.
            let again = Box::pin(attempt(engine, inner, rule, key, asker, parts, purpose)).await;
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
    purpose: Purpose,
) -> Result<Granted, Refused> {
    let waiting = purpose.waiting();
    let request = match looks_at(rule, "request") {
        true => {
            let uri = &parts.uri;
            request_value(&parts.method, uri.path(), uri.query(), &parts.headers, None)
        }
        false => Value::Null,
    };
    let nobody = Value::Object(serde_json::Map::new());
    let claims = asker.caller.as_ref().map_or(&nobody, |caller| &*caller.claims);
    let document_decides = rule.allow.as_ref().is_some_and(|allow| allow.uses("document"));
    let variables = Variables { claims, document: &Value::Null, request: &request };
    if !document_decides {
        check_allow(engine, rule, &variables, parts)?;
    }
    let mapping = known(engine, inner, rule, key, asker, parts, waiting).await;
    let told = mapping.as_deref().map_err(|reason| *reason);
    tell::document(engine, key, told, &parts.extensions);
    let mapping = mapping?;
    let identity = asker.caller.as_ref().map(|caller| &*caller.identity);
    let document = match looks_at(rule, "document") {
        true => document_value(Some(&mapping), identity),
        false => Value::Null,
    };
    let variables = Variables { document: &document, ..variables };
    if document_decides {
        check_allow(engine, rule, &variables, parts)?;
    }
    let MappingState::Ready { document_id } = &mapping.state else {
        return Err(Refused::Because(match mapping.state {
            MappingState::Pending { .. } => Reason::DocumentPending,
            MappingState::Lost { .. } => Reason::DocumentLost,
            _ => Reason::DocumentUnknown,
        }));
    };
    let wanted = Wanted {
        holder: asker.holder.clone(),
        document_id: document_id.clone(),
        stored_at: mapping.updated_at,
        permissions: permissions(rule, &variables),
        ttl: rule.ttl,
        until: asker.caller.as_ref().map(|caller| caller.expires),
        anew: asker.anew,
    };
    tell::grants(engine, rule, &variables, &parts.extensions);
    Trail::step(&parts.extensions, "permissions", || {
        (Finding::Told, wanted.permissions.names().join(", "))
    });
    let patience = (waiting == Waiting::WithTheApp).then_some(PATIENCE);
    let session = match Trail::of_asked(&parts.extensions) {
        Some(_) => Trail::session(&wanted, wanted.end(now_ms() / 1000)?),
        None => {
            let session = engine.broker.session(wanted, patience).await;
            let session = session.map_err(|reason| match reason {
                Reason::DocumentLost => Refused::Lost { document_id: document_id.clone() },
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
    let again = session.recorded.initialized();
    if again && !audit.wants_every_hand_out() {
        return Ok(());
    }
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

fn check_allow(
    engine: &Engine,
    rule: &ViewRule,
    variables: &Variables<'_>,
    parts: &Parts,
) -> Result<(), Reason> {
    let allowed = allowed(rule, variables);
    match &rule.allow {
        Some(allow) => {
            let named = variables.named();
            tell::condition(engine, "allow", allow, &named, allowed, &parts.extensions);
        }
        None => Trail::step(&parts.extensions, "allow", || {
            (Finding::Told, "the rule has no `allow`".to_owned())
        }),
    }
    if allowed { Ok(()) } else { Err(Reason::DeniedByPolicy) }
}

/// The mapping of a document that is known, there, and not on its way; or what [`awaited`] finds.
async fn known<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    waiting: Waiting,
) -> Result<Arc<Mapping>, Reason> {
    match engine.outbox.mapping(key).await? {
        Some(mapping)
            if mapping.pending_job().is_none() && mapping.state.lost_document().is_none() =>
        {
            Ok(mapping)
        }
        // Boxed, since it is large and rare, and would be a part of every view otherwise.
        _ => Box::pin(awaited(engine, inner, rule, key, asker, parts, waiting)).await,
    }
}

/// The mapping, after having a document fetched that nobody has seen or DWS has lost, and waiting for one that is
/// on its way.
async fn awaited<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    waiting: Waiting,
) -> Result<Arc<Mapping>, Reason> {
    let deadline = Instant::now() + rule.wait;
    let mapping = match engine.outbox.mapping(key).await? {
        Some(mapping) if mapping.state.lost_document().is_none() => mapping,
        // A question changes nothing: the document would be fetched from `source`, where there is one.
        found if Trail::of_asked(&parts.extensions).is_some() => {
            return Err(without(found.as_deref()));
        }
        found => {
            let patience = |began: Instant| match waiting {
                Waiting::Alone => deadline,
                Waiting::WithTheApp => deadline.min(began + rule.wait),
            };
            obtain(engine, inner, key, asker, parts, found, patience).await?
        }
    };
    if mapping.pending_job().is_none() {
        return Ok(mapping);
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let wait = match waiting {
        Waiting::Alone => left,
        // A document that has been on its way for longer than `wait` delays nobody any more: a DWS
        // that is down must not make the app slow.
        Waiting::WithTheApp => {
            let age = Duration::from_millis(now_ms().saturating_sub(mapping.updated_at));
            left.min(rule.wait.saturating_sub(age))
        }
    };
    if wait.is_zero() || Trail::of_asked(&parts.extensions).is_some() {
        return Ok(mapping);
    }
    engine.outbox.settled(key, wait).await?.ok_or(Reason::DocumentUnknown)
}

/// A document that nobody has seen or DWS has lost: from the app, unless DWS has found it again.
async fn obtain<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    lost: Option<Arc<Mapping>>,
    patience: impl Fn(Instant) -> Instant,
) -> Result<Arc<Mapping>, Reason> {
    match lost.as_ref().and_then(|lost| lost.state.lost_document()) {
        Some(document_id) if engine.broker.is_back(document_id).await => {
            engine.outbox.found(key, document_id.to_owned()).await?;
        }
        _ => {
            let fetched = fetch(engine, inner, key, &asker.holder, parts, patience).await;
            Trail::step(&parts.extensions, "source", || match &fetched {
                Ok(()) => (Finding::Yes, format!("{key} was fetched from the app")),
                Err(reason) => {
                    (Finding::No, format!("{key} was not fetched from the app: {reason}"))
                }
            });
            fetched.map_err(|reason| match reason {
                Reason::DocumentUnknown => without(lost.as_deref()),
                reason => reason,
            })?;
        }
    }
    engine.outbox.mapping(key).await?.ok_or(Reason::DocumentUnknown)
}

/// The reason where the app gives no document either.
fn without(lost: Option<&Mapping>) -> Reason {
    if lost.is_some() { Reason::DocumentLost } else { Reason::DocumentUnknown }
}

/// Variables that no condition of the rule looks at need not be built.
fn looks_at(rule: &ViewRule, variable: &str) -> bool {
    let conditions = rule.grant.iter().filter_map(|grant| grant.when.as_ref()).chain(&rule.allow);
    conditions.into_iter().any(|condition| condition.uses(variable))
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
