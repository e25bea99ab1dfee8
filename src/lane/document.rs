//! The document of a view: known, there, and what the app has now.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::time::Instant;

use super::Inner;
use super::fetch::fetch;
use super::grant::Asker;
use super::probe::{Validation, Word, observe, probe_afresh};
use crate::config::{AppSays, Kind, ViewRule};
use crate::document::DocumentKey;
use crate::engine::{Effects, Engine};
use crate::outbox::Circumstances;
use crate::reason::Reason;
use crate::store::{Compared, Mapping, Observed, Validators, now_ms};
use crate::trail::{Finding, Trail};

/// How long a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A reply of the app waits with it: only in the first moments of a document, and not for a slow DWS.
    WithTheApp,
    /// Nothing but this answer waits.
    Alone,
}

impl Waiting {
    /// For DWS.
    pub(super) fn patience(self) -> Option<Duration> {
        (self == Self::WithTheApp).then_some(PATIENCE)
    }
}

/// A document that an authorised caller wants to see.
#[derive(Clone, Copy)]
pub(crate) struct Sought<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) rule: &'a ViewRule,
    pub(crate) key: &'a DocumentKey,
    pub(crate) asker: &'a Asker,
    pub(crate) parts: &'a Parts,
    /// What the app has just said of its bytes.
    pub(crate) seen: Option<&'a Observed>,
    pub(crate) waiting: Waiting,
}

/// The mapping of bytes that the app has now: after a comparison with what the app says of them, a fetch of those
/// that Transom has not seen, and a wait for DWS.
///
/// # Errors
/// `document_changed` where the app may have other bytes and there is no `source`; `document_unknown`,
/// `document_lost`, `document_pending`, `document_parked`, and those of [`fetch`].
pub(super) async fn known<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, key, .. } = sought;
    if engine.effects == Effects::None {
        return on_record(sought).await;
    }
    match engine.outbox.mapping(key).await? {
        Some(mapping)
            if is_settled(engine, &mapping) && is_valid(sought, inner, &mapping).await? =>
        {
            Ok(mapping)
        }
        // Boxed, since it is large and rare, and would be a part of every view otherwise.
        _ => Box::pin(awaited(sought, inner)).await,
    }
}

/// The mapping as it is. What would have to be fetched from the app is not there.
async fn on_record(sought: Sought<'_>) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, key, .. } = sought;
    match engine.outbox.mapping(key).await? {
        Some(mapping) if !needs_look(engine, &mapping) => {
            refuse_parked(sought, &mapping).await?;
            Ok(mapping)
        }
        found => Err(without(found.as_deref())),
    }
}

fn is_settled(engine: &Engine, mapping: &Mapping) -> bool {
    mapping.is_settled() && !engine.outbox.is_in_doubt(mapping)
}

/// Whether the app still has these bytes, as far as it says so; if not, the document is in doubt afterwards.
async fn is_valid<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    mapping: &Mapping,
) -> Result<bool, Reason> {
    let Sought { engine, key, parts, .. } = sought;
    // What the app has just said is compared in any case.
    let says = |kind: &&Arc<Kind>| kind.validate.is_some() || sought.seen.is_some();
    let kind = engine.config.kind_of(key).filter(says);
    let Some(kind) = kind else { return Ok(true) };
    let own;
    let seen = match sought.seen {
        Some(seen) => seen,
        None if engine.decisions.is_valid(mapping) => return Ok(true),
        // Boxed, since most views need no request of their own.
        None => match Box::pin(observe(engine, inner, kind, key, parts)).await {
            Validation::Seen(seen) => {
                own = seen;
                &own
            }
            // It may be so for this caller alone.
            Validation::Gone => return Err(Reason::DocumentChanged),
            // An app that does not say so now has no other bytes for that.
            Validation::Unsaid => return Ok(true),
        },
    };
    let mut compared = mapping.validators.compare(mapping.size, seen);
    // The first that are seen may be those of other bytes already.
    let first = compared == Compared::Learnt && mapping.validators.is_empty();
    if first && kind.validate.is_some() && kind.source.is_some() {
        compared = Compared::Differs;
    }
    Trail::step(&parts.extensions, "validators", || match compared {
        Compared::Differs => {
            (Finding::No, "the app may have other bytes than were captured".to_owned())
        }
        _ => (Finding::Yes, "the app has the bytes that were captured".to_owned()),
    });
    match compared {
        Compared::Differs => {
            tracing::info!(code = %Reason::InDoubt, document = %key, "the app may have other bytes than were captured");
            engine.outbox.doubt(key).await;
            return Ok(false);
        }
        Compared::Learnt => engine.outbox.learn(mapping, mapping.validators.learn(seen)),
        Compared::Same => {}
    }
    engine.decisions.found_valid(mapping);
    Ok(true)
}

/// The mapping, after a look at the app for a document that is new, lost or in doubt, and a wait for one that is on
/// its way.
async fn awaited<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, rule, key, .. } = sought;
    let began = Instant::now();
    let deadline = began + rule.wait;
    for _ in 0..LOOKS {
        let found = engine.outbox.mapping(key).await?;
        let (mapping, looked) = match found {
            Some(mapping) if !needs_look(engine, &mapping) => (mapping, false),
            found => (obtain(sought, inner, found, began, deadline).await?, true),
        };
        let mapping = match mapping.pending_job() {
            None => mapping,
            Some(_) => {
                let left = deadline.saturating_duration_since(Instant::now());
                wait_for(sought, mapping, left).await?
            }
        };
        // What was just fetched was there to be seen when this caller asked.
        if looked || mapping.pending_job().is_some() {
            return Ok(mapping);
        }
        // A write that began meanwhile.
        if engine.outbox.is_in_doubt(&mapping) {
            return Err(Reason::DocumentPending);
        }
        // The app may have changed the bytes while they were on their way to DWS.
        if is_valid(sought, inner, &mapping).await? {
            return Ok(mapping);
        }
    }
    Err(Reason::DocumentPending)
}

fn needs_look(engine: &Engine, mapping: &Mapping) -> bool {
    !mapping.is_document()
        || mapping.state.lost_document().is_some()
        || engine.outbox.is_in_doubt(mapping)
}

/// Waits for DWS, unless only an operator can get the document there.
async fn wait_for(
    sought: Sought<'_>,
    mapping: Arc<Mapping>,
    left: Duration,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, rule, key, waiting, .. } = sought;
    refuse_parked(sought, &mapping).await?;
    let wait = match waiting {
        Waiting::Alone => left,
        // A view waits only for a document that was sent less than `wait` ago: a DWS that is down must
        // not make the app slow.
        Waiting::WithTheApp => {
            let age = Duration::from_millis(now_ms().saturating_sub(mapping.updated_at));
            left.min(rule.wait.saturating_sub(age))
        }
    };
    if wait.is_zero() {
        return Ok(mapping);
    }
    let mapping = engine.outbox.settled(key, wait).await?.ok_or(Reason::DocumentUnknown)?;
    refuse_parked(sought, &mapping).await?;
    Ok(mapping)
}

async fn refuse_parked(sought: Sought<'_>, mapping: &Mapping) -> Result<(), Reason> {
    let Some(job) = sought.engine.outbox.parked(mapping).await? else { return Ok(()) };
    Trail::step(&sought.parts.extensions, "outbox", || {
        let told = "is parked: see `transom outbox show`, then retry, bind or drop it";
        (Finding::No, format!("job {} {told}", job.0))
    });
    Err(Reason::DocumentParked)
}

/// What the app has of a document that is new, lost or in doubt.
async fn obtain<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    found: Option<Arc<Mapping>>,
    began: Instant,
    deadline: Instant,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, key, .. } = sought;
    if let Some(found) = &found {
        let lost = found.state.lost_document();
        if let Some(document_id) = lost
            && !engine.outbox.is_in_doubt(found)
            && engine.broker.is_back(document_id).await
        {
            engine.outbox.found(key, document_id.to_owned()).await?;
            return engine.outbox.mapping(key).await?.ok_or(Reason::DocumentUnknown);
        }
        if !found.is_document() {
            return first(sought, inner, found, deadline).await;
        }
    }
    let mut found = found;
    for _ in 0..LOOKS {
        let fetched = match fetched(sought, inner, found.clone(), deadline).await {
            // Something else happened to the document meanwhile, so that the look says nothing.
            Err(Reason::Superseded) => None,
            fetched => Some(fetched?),
        };
        let mapping = engine.outbox.mapping(key).await?;
        let mapping = mapping.ok_or(Reason::DocumentUnknown)?;
        // One that another caller began may have looked before the write that put the document in doubt.
        let is_own = fetched.is_some_and(|fetched| fetched >= began);
        if !needs_look(engine, &mapping) || (is_own && mapping.is_document()) {
            return Ok(mapping);
        }
        found = Some(mapping);
    }
    Err(Reason::DocumentPending)
}

async fn fetched<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    found: Option<Arc<Mapping>>,
    deadline: Instant,
) -> Result<Instant, Reason> {
    let Sought { engine, rule, key, asker, parts, waiting, .. } = sought;
    let patience = |began: Instant| match waiting {
        Waiting::Alone => deadline,
        Waiting::WithTheApp => deadline.min(began + rule.wait),
    };
    let holder = &asker.holder;
    let fetched = fetch(engine, inner, key, holder, parts, found.clone(), patience).await;
    Trail::step(&parts.extensions, "source", || match &fetched {
        Ok(_) => (Finding::Yes, format!("{key} was fetched from the app")),
        Err(reason) => (Finding::No, format!("{key} was not fetched from the app: {reason}")),
    });
    fetched.map_err(|reason| match reason {
        Reason::DocumentUnknown => without(found.as_deref()),
        reason => reason,
    })
}

/// A first upload whose acceptance was not sure, of a document that the app now lets this caller see: its `source`
/// tells what it has, and where that can't, its yes to this caller does.
async fn first<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    found: &Arc<Mapping>,
    deadline: Instant,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, key, .. } = sought;
    match engine.config.kind_of(key).and_then(|kind| kind.source.as_ref()) {
        None => confirmed(sought, inner, found).await,
        Some(_) => match fetched(sought, inner, Some(found.clone()), deadline).await {
            Ok(_) | Err(Reason::Superseded) => {
                engine.outbox.mapping(key).await?.ok_or(Reason::DocumentUnknown)
            }
            Err(Reason::DocumentUnknown) => confirmed(sought, inner, found).await,
            Err(reason) => Err(reason),
        },
    }
}

async fn confirmed<S: Inner<B>, B: Send + 'static>(
    sought: Sought<'_>,
    inner: &mut S,
    found: &Mapping,
) -> Result<Arc<Mapping>, Reason> {
    let Sought { engine, rule, key, parts, .. } = sought;
    let (Some(kind), Some(job)) = (engine.config.kind_of(key), found.unconfirmed_job()) else {
        return Err(Reason::DocumentUnknown);
    };
    if rule.authorize.app == AppSays::NotAsked {
        match probe_afresh(engine, inner, kind, key, parts).await {
            Word::Yes(_) => {}
            Word::No { .. } => return Err(Reason::DocumentUnknown),
            Word::Unknown => return Err(Reason::AppUnavailable),
        }
    }
    let settles = !engine.outbox.is_being_written(key);
    let by = Circumstances::fetched(Validators::default(), None, settles);
    engine.outbox.confirm(key, job, by).await?;
    engine.outbox.mapping(key).await?.ok_or(Reason::DocumentUnknown)
}

/// The reason where the app gives no document either.
fn without(found: Option<&Mapping>) -> Reason {
    match found {
        Some(found) if found.state.lost_document().is_some() => Reason::DocumentLost,
        Some(found) if found.is_document() => Reason::DocumentChanged,
        _ => Reason::DocumentUnknown,
    }
}

/// Fetches, and comparisons with what the app says, that one view waits for.
const LOOKS: usize = 2;
/// How long a reply of the app waits for a session to be minted.
const PATIENCE: Duration = Duration::from_secs(2);
