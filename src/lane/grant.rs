//! From somebody who asks to a session, or to the reason why not. The app's own word is not in
//! here: each lane gets it where it fits.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::request::Parts;
use serde_json::Value;
use tokio::time::Instant;

use super::Inner;
use super::behalf::{CREDENTIALS, query_tokens, token_headers};
use super::fetch::fetch;
use crate::auth::{Caller, Refusal};
use crate::config::{Identity, TokenPlace, ViewRule};
use crate::correlate::request_value;
use crate::document::DocumentKey;
use crate::dws::Session;
use crate::engine::Engine;
use crate::explain::{Finding, Trail};
use crate::mapping::{Mapping, MappingState, now_ms};
use crate::reason::Reason;
use crate::session::{Holder, Variables, Wanted, allowed, document_value, permissions};

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
    let assumed = Trail::of(&parts.extensions).and_then(Trail::caller).filter(|caller| {
        rule.identity.is_empty() || rule.identity.iter().any(|name| *name == *caller.identity)
    });
    let found = match assumed {
        Some(caller) => Ok(caller.clone()),
        None => engine.authenticator.authenticate(parts, &rule.identity).await,
    };
    Trail::step(&parts.extensions, "token", || match &found {
        Ok(Caller { identity, user, .. }) => {
            (Finding::Yes, format!("identity `{identity}` vouches for user `{user}`"))
        }
        Err(Refusal { reason, detail }) => {
            let finding = if rule.authorize.token { Finding::No } else { Finding::Told };
            (finding, format!("{reason}: {detail}; looked in: {}", places(engine, rule)))
        }
    });
    found
}

/// Where the identities that count may have their tokens.
fn places(engine: &Engine, rule: &ViewRule) -> String {
    let counts =
        |identity: &&Identity| rule.identity.is_empty() || rule.identity.contains(&identity.name);
    let identities = engine.config.identities.iter().filter(counts);
    let places = identities.flat_map(|identity| {
        identity.tokens.iter().map(move |place| {
            let place = match place {
                TokenPlace::Bearer => "Authorization: Bearer".to_owned(),
                TokenPlace::Scheme(scheme) => format!("Authorization: {scheme}"),
                TokenPlace::Cookie(name) => format!("cookie `{name}`"),
                TokenPlace::Header(name) => format!("header `{name}`"),
                TokenPlace::Query(name) => format!("query `{name}`"),
            };
            format!("{place} (identity `{}`)", identity.name)
        })
    });
    places.collect::<Vec<_>>().join(", ")
}

/// How long a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A reply of the app waits with it: only in the first moments of a document, and not for a slow DWS.
    WithTheApp,
    /// Nothing but this answer waits.
    Alone,
}

/// What a caller may have of a document that Transom knows.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) session: Arc<Session>,
}

/// Policy, document, session, in this order; the app has said yes before.
pub(crate) async fn grant<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    waiting: Waiting,
) -> Result<Granted, Reason> {
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
        check_allow(rule, &variables, parts)?;
    }
    let mapping = known(engine, inner, rule, key, asker, parts, waiting).await;
    tell_of_document(key, mapping.as_deref().map_err(|reason| *reason), parts);
    let mapping = mapping?;
    let identity = asker.caller.as_ref().map(|caller| &*caller.identity);
    let document = match looks_at(rule, "document") {
        true => document_value(Some(&mapping), identity),
        false => Value::Null,
    };
    let variables = Variables { document: &document, ..variables };
    if document_decides {
        check_allow(rule, &variables, parts)?;
    }
    let MappingState::Ready { document_id } = &mapping.state else {
        return Err(match mapping.state {
            MappingState::Pending { .. } => Reason::DocumentPending,
            _ => Reason::DocumentUnknown,
        });
    };
    let wanted = Wanted {
        holder: asker.holder.clone(),
        document_id: document_id.clone(),
        permissions: permissions(rule, &variables),
        ttl: rule.ttl,
        until: asker.caller.as_ref().map(|caller| caller.expires),
        anew: asker.anew,
    };
    Trail::step(&parts.extensions, "permissions", || {
        (Finding::Told, wanted.permissions.names().join(", "))
    });
    let patience = (waiting == Waiting::WithTheApp).then_some(PATIENCE);
    let session = match Trail::of(&parts.extensions) {
        Some(trail) => trail.session(&wanted, wanted.end(now_ms() / 1000)?),
        None => engine.broker.session(wanted, patience).await?,
    };
    Ok(Granted { mapping, session })
}

fn check_allow(rule: &ViewRule, variables: &Variables<'_>, parts: &Parts) -> Result<(), Reason> {
    let allowed = allowed(rule, variables);
    Trail::step(&parts.extensions, "allow", || match &rule.allow {
        None => (Finding::Told, "the rule has no `allow`".to_owned()),
        Some(allow) => {
            let named = [("claims", variables.claims), ("document", variables.document)];
            let used = named.into_iter().filter(|(name, _)| allow.uses(name));
            let used: Vec<_> = used.map(|(name, value)| format!("{name} = {value}")).collect();
            let source = allow.source();
            (Finding::of(allowed), format!("{source}, with {}", used.join(", ")))
        }
    });
    if allowed { Ok(()) } else { Err(Reason::DeniedByPolicy) }
}

fn tell_of_document(key: &DocumentKey, mapping: Result<&Mapping, Reason>, parts: &Parts) {
    Trail::step(&parts.extensions, "document", || match mapping {
        Ok(Mapping { state: MappingState::Ready { document_id }, .. }) => {
            (Finding::Yes, format!("{key} is {document_id} at DWS"))
        }
        Ok(Mapping { state: MappingState::Refused { detail }, .. }) => {
            (Finding::No, format!("DWS refused {key}: {detail}"))
        }
        Ok(_) => (Finding::No, format!("{key} is on its way to DWS")),
        Err(reason) => (Finding::No, format!("{key}: {reason}")),
    });
}

/// The mapping of a document that is known and not on its way, or what [`awaited`] finds.
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
        Some(mapping) if mapping.pending_job().is_none() => Ok(mapping),
        // Boxed, since it is large and rare, and would be a part of every view otherwise.
        _ => Box::pin(awaited(engine, inner, rule, key, asker, parts, waiting)).await,
    }
}

/// The mapping, after having a document fetched that nobody has seen, and waiting for one that is on
/// its way.
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
        Some(mapping) => mapping,
        // An explanation changes nothing: the document would be fetched from `source`, where there is one.
        None if Trail::of(&parts.extensions).is_some() => return Err(Reason::DocumentUnknown),
        None => {
            let patience = |began: Instant| match waiting {
                Waiting::Alone => deadline,
                Waiting::WithTheApp => deadline.min(began + rule.wait),
            };
            fetch(engine, inner, key, &asker.holder, parts, patience).await?;
            engine.outbox.mapping(key).await?.ok_or(Reason::DocumentUnknown)?
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
    if wait.is_zero() {
        return Ok(mapping);
    }
    engine.outbox.settled(key, wait).await?.ok_or(Reason::DocumentUnknown)
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
