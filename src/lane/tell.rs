//! What the lanes tell to whoever has a request explained. Nothing is decided here.

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName};
use serde_json::Value;

use super::behalf::CREDENTIALS;
use super::looked_at::looked_at;
use super::view::OwnWord;
use crate::auth::{Caller, Refusal, places};
use crate::condition::Condition;
use crate::config::{Identity, Kind, ViewRule};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::extract::FilePart;
use crate::reason::Reason;
use crate::session::Variables;
use crate::store::{Document, DocumentState, Mapping, now_ms};
use crate::trail::{Finding, Trail};

pub(super) fn caller(
    engine: &Engine,
    rule: &ViewRule,
    found: Result<&Caller, &Refusal>,
    extensions: &Extensions,
) {
    Trail::step(extensions, "token", || match found {
        Ok(Caller { identity, user, .. }) => {
            (Finding::Yes, format!("identity `{identity}` vouches for user `{user}`"))
        }
        Err(Refusal { reason, detail }) if rule.authorize.token => {
            (Finding::No, format!("{reason}: {detail}; looked in: {}", all_places(engine, rule)))
        }
        Err(Refusal { reason, detail }) => {
            (Finding::Told, format!("{reason}: {detail}; this route needs none"))
        }
    });
}

/// Where the identities that count may have their tokens.
fn all_places(engine: &Engine, rule: &ViewRule) -> String {
    let counts =
        |identity: &&Identity| rule.identity.is_empty() || rule.identity.contains(&identity.name);
    let identities = engine.config.identities.iter().filter(counts);
    let places = identities.flat_map(|identity| {
        places(identity).map(move |place| format!("{place} (identity `{}`)", identity.name))
    });
    places.collect::<Vec<_>>().join(", ")
}

/// A condition of any rule, with what it looked at.
pub(super) fn condition(
    engine: &Engine,
    check: &'static str,
    condition: &Condition,
    variables: &[(&str, &Value)],
    holds: bool,
    extensions: &Extensions,
) {
    Trail::step(extensions, check, || {
        (Finding::of(holds), with_values(engine, condition, variables))
    });
}

fn with_values(engine: &Engine, condition: &Condition, variables: &[(&str, &Value)]) -> String {
    let source = condition.source();
    match looked_at(condition, variables, &engine.config.identities) {
        values if values.is_empty() => source.to_owned(),
        values => format!("{source}, with {values}"),
    }
}

/// Each grant, and what all of them come to.
pub(super) fn grants(
    engine: &Engine,
    rule: &ViewRule,
    variables: &Variables<'_>,
    extensions: &Extensions,
) {
    if Trail::of(extensions).is_none() {
        return;
    }
    for grant in &rule.grant {
        let more = grant.permissions.names().join(", ");
        Trail::step(extensions, "grant", || match &grant.when {
            None => (Finding::Yes, format!("{more}: to everybody")),
            Some(when) => {
                let holds = variables.satisfy(when);
                let told = with_values(engine, when, &variables.named());
                (Finding::of(holds), format!("{more}: when {told}"))
            }
        });
    }
}

pub(super) fn document(
    engine: &Engine,
    key: &DocumentKey,
    mapping: Result<&Mapping, Reason>,
    extensions: &Extensions,
) {
    Trail::step(extensions, "document", || match mapping.map(|mapping| &mapping.document) {
        Ok(Document { state: DocumentState::Ready { document_id }, .. }) => {
            (Finding::Yes, format!("{key} is {document_id} at DWS"))
        }
        Ok(Document { state: DocumentState::Refused { detail }, .. }) => {
            (Finding::No, format!("DWS refused {key}: {detail}"))
        }
        Ok(Document { state: DocumentState::Pending { job, .. }, updated_at, .. }) => {
            let age = now_ms().saturating_sub(*updated_at) / 1000;
            let told = format!(
                "{key} is on its way to DWS for {age} s, as job {} of `transom outbox list`",
                job.0
            );
            (Finding::No, told)
        }
        Ok(Document { state: DocumentState::Unconfirmed { .. }, .. }) => {
            (Finding::No, format!("{key} came by, and whether the app took it is not known yet"))
        }
        Ok(Document { state: DocumentState::Lost { document_id }, .. }) => {
            (Finding::No, format!("{key} was {document_id} at DWS, which no longer has it"))
        }
        Err(Reason::DocumentChanged) => {
            let told = format!(
                "{key} was written at the app since, or changed there by itself; see `source`"
            );
            (Finding::No, told)
        }
        Err(Reason::DocumentParked) => {
            (Finding::No, format!("{key} is kept, and waits for an operator; see `outbox`"))
        }
        Err(Reason::DocumentUnknown) => {
            let kind = engine.config.kind_of(key).map(|kind| &**kind);
            (Finding::No, format!("{key} never came by{}", source(kind, key)))
        }
        Err(reason) => (Finding::No, format!("{key}: {reason}")),
    });
}

fn source(kind: Option<&Kind>, key: &DocumentKey) -> String {
    let source = kind.and_then(|kind| kind.source.as_ref());
    match source.and_then(|source| Some((&source.method, source.target(key.id())?))) {
        None => ", and there is no `source` to fetch it from".to_owned(),
        Some((method, target)) => {
            format!("; a view fetches it with {method} {target}, which a question does not")
        }
    }
}

/// How a session reached its user, as what did it says: never the session itself.
pub(super) fn sent(done: impl FnOnce() -> String, extensions: &Extensions) {
    Trail::step(extensions, "sent", || (Finding::Told, done()));
}

/// Whether the client gets something else than the app's reply.
pub(super) fn page(holds: bool, why: impl FnOnce() -> String, extensions: &Extensions) {
    Trail::step(extensions, "page", || (Finding::of(holds), why()));
}

/// `with the caller's authorization and cookie`: names of what a request of ours carries.
pub(super) fn credentials<'h>(
    headers: &HeaderMap,
    places: impl Iterator<Item = &'h HeaderName>,
) -> String {
    let names = CREDENTIALS.iter().chain(places).filter(|name| headers.contains_key(*name));
    let names: Vec<_> = names.map(HeaderName::as_str).collect();
    match names.join(", ") {
        names if names.is_empty() => "without any credentials of the caller".to_owned(),
        names => format!("with the caller's {names}"),
    }
}

/// The app's own answer to the view's own request.
pub(super) fn own_answer(status: http::StatusCode, word: OwnWord, asked: &Parts) {
    let status = status.as_u16();
    Trail::step(&asked.extensions, "app", || match word {
        OwnWord::Yes => (Finding::Yes, format!("its own answer, {status}, is a yes")),
        OwnWord::No(_) => (Finding::No, format!("its own answer, {status}, is no yes")),
        OwnWord::AskTheProbe => {
            let told = "its own answer is a web page, as a login is one: the probe decides";
            (Finding::Told, told.to_owned())
        }
    });
}

/// A file of an upload, and the document that it is.
pub(super) fn file(key: &DocumentKey, file: &FilePart, extensions: &Extensions) {
    Trail::step(extensions, "file", || match &file.kept {
        Ok(kept) => (Finding::Yes, format!("{key}: {} bytes of {}", kept.size, kept.content_type)),
        Err(reason) => (Finding::No, format!("{key}: {reason}")),
    });
}
