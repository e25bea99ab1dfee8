//! From somebody who asks to a session, or to the reason why not. The app's own word is not in
//! here: each lane gets it where it fits.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::request::Parts;
use secrecy::ExposeSecret;

use super::behalf::{CREDENTIALS, query_tokens, token_headers};
use super::document::{Sought, known};
use super::policy::Policy;
use super::{Inner, tell};
use crate::audit::{Audit, Entry, Who, token_hash};
use crate::auth::{Assumed, Caller, Refusal};
use crate::config::{AppSays, ViewRule};
use crate::engine::Engine;
use crate::reason::Reason;
use crate::session::{Holder, Session};
use crate::store::{Mapping, now_ms};
use crate::telemetry::{Rfc3339, request_id};
use crate::trail::Trail;
use crate::viewer::is_ahead;

/// Somebody who asks for a document.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(super) caller: Option<Arc<Caller>>,
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

    fn new(engine: &Engine, caller: Option<Arc<Caller>>, parts: &Parts) -> Self {
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

async fn caller(engine: &Engine, rule: &ViewRule, parts: &Parts) -> Result<Arc<Caller>, Refusal> {
    let assumed = parts.extensions.get::<Assumed>();
    let counts = |caller: &Caller| {
        rule.identity.is_empty() || rule.identity.iter().any(|name| *name == *caller.identity)
    };
    let found = match assumed {
        Some(Assumed(Ok(caller))) if !counts(caller) => Err(Refusal::missing()),
        Some(Assumed(caller)) => caller.clone().map(Arc::new),
        None => engine.authenticator.authenticate(parts, &rule.identity).await,
    };
    tell::caller(engine, rule, found.as_deref(), &parts.extensions);
    found
}

/// How a session leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// For the app, in its request.
    RequestHeader,
    /// In the app's reply.
    Reply,
    /// Transom's own endpoint.
    Endpoint,
}

impl Via {
    /// As the audit log has it.
    fn name(self) -> &'static str {
        match self {
            Self::RequestHeader => "request_header",
            Self::Reply => "reply",
            Self::Endpoint => "endpoint",
        }
    }
}

/// Policy, document, session, in this order; the app has said yes before. A document that DWS has lost is
/// looked for once more in the app.
pub(crate) async fn grant<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    via: Via,
) -> Result<Arc<Session>, Reason> {
    match attempt(sought, inner, via).await {
        Ok(session) => Ok(session),
        Err(Refused::Because(reason)) => Err(reason),
        Err(Refused::Lost { document_id }) => {
            sought.engine.outbox.lost(sought.key, document_id).await?;
            // Boxed, since it is rare.
            Box::pin(attempt(sought, inner, via)).await.map_err(|refused| match refused {
                Refused::Because(reason) => reason,
                Refused::Lost { .. } => Reason::DocumentLost,
            })
        }
    }
}

/// Whether this caller may have a session for a page, which will ask for it when it is about to use it; all of
/// [`grant`] but the session itself, which costs. Only while DWS is failing it is asked for at once: a page without
/// one would hide what the app has.
pub(crate) async fn admit<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, rule, key, asker, parts, waiting, .. } = sought;
    let policy = Policy::new(engine, rule, asker, Some(parts), &parts.extensions);
    policy.check_without_document()?;
    let mapping = known(sought, inner).await;
    tell::document(engine, key, mapping.as_deref().map_err(|reason| *reason), &parts.extensions);
    let mapping = mapping?;
    let wanted = policy.wanted(&mapping)?;
    wanted.end(now_ms() / 1000)?;
    engine.audit.as_ref().map_or(Ok(()), Audit::check)?;
    if !engine.broker.is_well() {
        if is_ahead(&parts.headers) {
            return Err(Reason::Prefetch);
        }
        engine.broker.session(&wanted, waiting.patience()).await?;
    }
    Trail::granted(&parts.extensions, wanted.permissions);
    Ok(mapping)
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
    sought: Sought<'_>,
    inner: &mut S,
    via: Via,
) -> Result<Arc<Session>, Refused> {
    let Sought { engine, rule, key, asker, parts, waiting, .. } = sought;
    let policy = Policy::new(engine, rule, asker, Some(parts), &parts.extensions);
    policy.check_without_document()?;
    let mapping = known(sought, inner).await;
    let told = mapping.as_deref().map_err(|reason| *reason);
    tell::document(engine, key, told, &parts.extensions);
    let mapping = mapping?;
    let wanted = policy.wanted(&mapping)?;
    let session = engine.broker.session(&wanted, waiting.patience()).await;
    let session = session.map_err(|reason| match reason {
        Reason::DocumentLost => Refused::Lost { document_id: wanted.document_id.to_owned() },
        reason => Refused::Because(reason),
    })?;
    if let Some(audit) = &engine.audit
        && !is_on_record(audit, &session, &asker.holder)
    {
        // Boxed, since most views have no audit log.
        Box::pin(record(audit, sought, &session, via.name())).await?;
    }
    Trail::granted(&parts.extensions, session.token.permissions);
    Ok(session)
}

/// Puts the session on record: once for each holder, or each time where that is wanted.
async fn record(
    audit: &Audit,
    sought: Sought<'_>,
    session: &Session,
    via: &'static str,
) -> Result<(), Reason> {
    let Sought { rule, key, asker, parts, .. } = sought;
    let again = session.on_record.has(&asker.holder);
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
        document_id: &session.token.document_id,
        permissions: session.token.permissions.names(),
        rule: &rule.name,
        yes: asked.into_iter().filter_map(|(yes, who)| yes.then_some(who)).collect(),
        until: Rfc3339(Duration::from_secs(session.token.expires)),
        session: token_hash(session.token.jwt.expose_secret()),
        via,
        again,
        request_id: request_id::of(&parts.headers),
    };
    match again {
        true => audit.record(&entry).await,
        false => session.on_record.once(&asker.holder, audit.record(&entry)).await,
    }
}

/// Whether the audit log tells that this holder has this session, and need not tell it again.
fn is_on_record(audit: &Audit, session: &Session, holder: &Holder) -> bool {
    session.on_record.has(holder) && !audit.wants_every_hand_out()
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
