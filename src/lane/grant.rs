//! From somebody who asks to a session, or to the reason why not. The app's own word is not in
//! here: each lane gets it where it fits.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use serde_json::Value;

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
            None => Holder::Credentials(credentials(parts)),
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
    pub(crate) mapping: Mapping,
    pub(crate) session: Arc<Session>,
}

/// Policy, document, session, in this order.
pub(crate) async fn grant(
    engine: &Engine,
    rule: &ViewRule,
    key: &DocumentKey,
    asker: &Asker,
    parts: &Parts,
    waiting: Waiting,
) -> Result<Granted, Reason> {
    let mapping = known(engine, rule, key, waiting).await;
    Trail::step(&parts.extensions, "document", || match &mapping {
        Ok(Mapping { state: MappingState::Ready { document_id }, .. }) => {
            (Finding::Yes, format!("{key} is {document_id} at DWS"))
        }
        Ok(Mapping { state: MappingState::Refused { detail }, .. }) => {
            (Finding::No, format!("DWS refused {key}: {detail}"))
        }
        Ok(_) => (Finding::No, format!("{key} is on its way to DWS")),
        Err(reason) => (Finding::No, format!("{key}: {reason}")),
    });
    let mapping = mapping?;
    let identity = asker.caller.as_ref().map(|caller| &*caller.identity);
    let document = document_value(Some(&mapping), identity);
    let request = match looks_at_request(rule) {
        true => {
            let uri = &parts.uri;
            request_value(&parts.method, uri.path(), uri.query(), &parts.headers, None)
        }
        false => Value::Null,
    };
    let nobody = Value::Object(serde_json::Map::new());
    let claims = asker.caller.as_ref().map_or(&nobody, |caller| &*caller.claims);
    let variables = Variables { claims, document: &document, request: &request };
    let allowed = allowed(rule, &variables);
    Trail::step(&parts.extensions, "allow", || match &rule.allow {
        None => (Finding::Told, "the rule has no `allow`".to_owned()),
        Some(allow) => {
            let named = [("claims", claims), ("document", &document)].into_iter();
            let used = named.filter(|(name, _)| allow.uses(name));
            let used: Vec<_> = used.map(|(name, value)| format!("{name} = {value}")).collect();
            let source = allow.source();
            (Finding::of(allowed), format!("{source}, with {}", used.join(", ")))
        }
    });
    if !allowed {
        return Err(Reason::DeniedByPolicy);
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

/// The mapping, after waiting for a document that is on its way.
async fn known(
    engine: &Engine,
    rule: &ViewRule,
    key: &DocumentKey,
    waiting: Waiting,
) -> Result<Mapping, Reason> {
    let mapping =
        engine.outbox.settled(key, Duration::ZERO).await?.ok_or(Reason::DocumentUnknown)?;
    if !matches!(mapping.state, MappingState::Pending { .. }) {
        return Ok(mapping);
    }
    let wait = match waiting {
        Waiting::Alone => rule.wait,
        // A document that has been on its way for longer than `wait` delays nobody any more: a DWS
        // that is down must not make the app slow.
        Waiting::WithTheApp => rule
            .wait
            .saturating_sub(Duration::from_millis(now_ms().saturating_sub(mapping.updated_at))),
    };
    if wait.is_zero() {
        return Ok(mapping);
    }
    engine.outbox.settled(key, wait).await?.ok_or(Reason::DocumentUnknown)
}

fn looks_at_request(rule: &ViewRule) -> bool {
    let conditions = rule.grant.iter().filter_map(|grant| grant.when.as_ref()).chain(&rule.allow);
    conditions.into_iter().any(|condition| condition.uses("request"))
}

/// One hash of everything that the app may know a caller by.
fn credentials(parts: &Parts) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for name in [COOKIE, AUTHORIZATION] {
        for value in parts.headers.get_all(&name) {
            hash.update(name.as_str().as_bytes());
            hash.update(&(value.len() as u64).to_be_bytes());
            hash.update(value.as_bytes());
        }
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(hash.finish().as_ref());
    sum
}

/// How long a reply of the app waits for a session to be minted.
const PATIENCE: Duration = Duration::from_secs(2);
