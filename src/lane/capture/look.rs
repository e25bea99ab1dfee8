//! A look at the app, where its reply to a write proves little: with the caller's own credentials, and after the reply.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::arrival::Arrival;
use crate::config::{Action, Confirm, DeleteRule, Kind};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::Event;
use crate::extract::is_form;
use crate::lane::Inner;
use crate::lane::fetch::{Read, read};
use crate::lane::probe::{Validation, Word, observe, probe, probe_afresh};
use crate::locate::{ReplyFacts, reply_value};
use crate::outbox::{Known, Proposal, WriteUnderWay, hex};
use crate::reason::Reason;
use crate::rules::Candidate;
use crate::store::{Compared, Mapping, Provenance, Validators};
use crate::telemetry::Step;

/// What is looked for.
#[derive(Debug)]
pub(super) enum Look {
    /// Whether the app has these bytes, or this document at all. `sent_back`: the app's redirect leads to where the
    /// form came from. `explicit`: the rule says itself what is accepted.
    Upload { proposal: Proposal, sent_back: bool, explicit: bool },
    /// Whether the app no longer has it.
    Delete(Deletion),
    /// What the app says of bytes that were just captured, so that a later change is noticed.
    Validators(DocumentKey),
}

#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) key: DocumentKey,
    /// And all ids below.
    pub(super) prefix: bool,
    /// The caller was seen to have it before.
    pub(super) was_there: bool,
    /// Of a doubt that only the end of the request gave reason for.
    pub(super) mark: Option<u64>,
}

/// Whether a reply that was accepted takes a look before it counts.
pub(super) fn is_due(confirm: Confirm, proves_little: bool) -> bool {
    match confirm {
        Confirm::Auto => proves_little,
        Confirm::Always => true,
        Confirm::Never => false,
    }
}

/// The documents, among those that the request names, that the app lets the caller see before they are deleted: asked
/// where a redirect may be the answer, since an app that hides what a caller may not see would say afterwards, too,
/// that there is nothing. `None`: not asked.
pub(super) async fn before<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    caller: &Parts,
    writers: &[Candidate<'_>],
    write: &WriteUnderWay,
) -> Option<Vec<DocumentKey>> {
    let rule = writers.iter().find(|candidate| match &candidate.rule.action {
        Action::Delete(delete) => may_prove_little(delete, &candidate.rule.method, caller),
        _ => false,
    })?;
    let kind = engine.config.kinds.get(rule.rule.kind).filter(|kind| !kind.probe.is_empty())?;
    let mut seen = Vec::new();
    let named = write.known().filter(|key| key.kind() == &*kind.name).take(ASKED_BEFORE);
    let asked = async {
        for key in named {
            if probe(engine, inner, kind, key, caller).await.is_ok() {
                seen.push(key.clone());
            }
        }
    };
    // What is not answered in time was not seen.
    let _ = timeout(BEFORE_AT_MOST, asked).await;
    Some(seen)
}

fn may_prove_little(delete: &DeleteRule, method: &Method, caller: &Parts) -> bool {
    let nothing = HeaderMap::new();
    let takes = |status| {
        let reply = ReplyFacts::new(status, &nothing, Err(Reason::IdMissing));
        let value = reply_value(&reply);
        delete.accepted.as_ref().is_some_and(|accepted| accepted.holds(&[("reply", &value)]))
    };
    let redirects = [StatusCode::FOUND, StatusCode::SEE_OTHER];
    let by_form =
        caller.method == Method::POST && (*method == Method::POST || is_form(&caller.headers));
    let meant = by_form || caller.method == *method;
    match delete.confirm {
        Confirm::Never => false,
        Confirm::Always => meant,
        Confirm::Auto => meant && (by_form || redirects.into_iter().any(takes)),
    }
}

/// Looks, and does what follows.
pub(super) async fn run<S: Inner<B>, B: Send + 'static>(
    engine: Arc<Engine>,
    mut inner: S,
    mut arrival: Arrival,
    looks: Vec<Look>,
) {
    // Of what was captured the end is known.
    if looks.iter().all(|look| matches!(look, Look::Validators(_))) {
        arrival.write = None;
    }
    for look in looks {
        let key = match &look {
            Look::Upload { proposal, .. } => &proposal.key,
            Look::Delete(deletion) => &deletion.key,
            Look::Validators(key) => key,
        };
        let Some(kind) = engine.config.kind_of(key).cloned() else { continue };
        let done = match &look {
            Look::Upload { proposal, sent_back, explicit } => {
                let counts = *explicit && !*sent_back;
                let found = look_for(&engine, &mut inner, &arrival, &kind, proposal, counts).await;
                let found = match found {
                    // That the app has a document where the form came from says nothing of this upload.
                    Found::These(None) | Found::Unknown if *sent_back && !proposal.is_known => {
                        Found::Nothing
                    }
                    found => found,
                };
                upload(&engine, &arrival, &kind, proposal, found).await
            }
            Look::Delete(deletion) => deleted(&engine, &mut inner, &arrival, &kind, deletion).await,
            Look::Validators(key) => validators(&engine, &mut inner, &arrival, &kind, key).await,
        };
        if let Err(reason) = done {
            warn!(code = %reason, document = %key, "a look at the app could not be concluded; the next view looks again");
        }
    }
}

/// `counts`: without a `source`, the reply counts as new bytes for a known document whose uploader may see it.
async fn look_for<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    arrival: &Arrival,
    kind: &Kind,
    proposal: &Proposal,
    counts: bool,
) -> Found {
    let (key, caller) = (&proposal.key, &arrival.caller);
    if proposal.changes_nothing {
        return Found::Same;
    }
    let Some(source) = &kind.source else {
        return match asked(engine, inner, kind, key, caller).await {
            Found::These(_) if proposal.is_known && !counts => Found::Doubtful,
            found => found,
        };
    };
    match read(engine, inner, kind, source, key, caller).await {
        Ok(read) if hex(&read.file.sha256) == proposal.sha256 => Found::These(Some(read)),
        Ok(read) => Found::Others(read),
        // What makes a document of the bytes may take its time, or gives another form of it.
        Err(_) if !proposal.is_known => asked(engine, inner, kind, key, caller).await,
        // The next view reads it again.
        Err(Reason::DocumentUnknown | Reason::DeniedByApp) => Found::Doubtful,
        Err(_) => Found::Unknown,
    }
}

async fn upload(
    engine: &Engine,
    arrival: &Arrival,
    kind: &Kind,
    proposal: &Proposal,
    found: Found,
) -> Result<(), Reason> {
    let key = &proposal.key;
    match found {
        Found::These(read) => {
            let mut by = arrival.circumstances(kind);
            if let Some(read) = &read {
                by = by.with(Validators::of(&read.seen));
            }
            let reason = engine.outbox.confirm(key, proposal.job, by).await?;
            if reason == Reason::Replaced {
                engine.decisions.forget();
            }
            arrival.tell(engine, &Event::Confirmed { document: key, reason });
        }
        Found::Others(read) => {
            refuted(engine, arrival, proposal).await?;
            let known = engine.outbox.mapping(key).await?.filter(|known| known.is_document());
            // Another write since then has a look of its own, or the next view has.
            if let Some(known) = known.filter(|known| known.mark() == Some(proposal.job.0)) {
                keep_others(engine, arrival, &known, read).await?;
            }
        }
        Found::Same => {
            let known = engine.outbox.mapping(key).await?;
            if let Some(known) = known.filter(|known| known.mark() == Some(proposal.job.0)) {
                engine.outbox.settle(&known, known.validators.clone()).await?;
            }
        }
        Found::Doubtful => refuted(engine, arrival, proposal).await?,
        Found::Nothing => {
            refuted(engine, arrival, proposal).await?;
            if proposal.is_sole {
                engine.outbox.lift(key, proposal.job.0).await?;
            }
        }
        Found::Unknown => {
            debug!(document = %key, "whether the app took the upload is not known; the next view looks again");
        }
    }
    Ok(())
}

/// What the app has in the place of an upload.
enum Found {
    These(Option<Read>),
    Others(Read),
    /// What was there before has just these bytes.
    Same,
    /// It does not let the uploader see the document, who can't have changed it then.
    Nothing,
    /// Perhaps these, perhaps what was there before.
    Doubtful,
    Unknown,
}

async fn asked<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Found {
    for pause in PAUSES {
        match probe_afresh(engine, inner, kind, key, caller).await {
            Word::Yes(_) => return Found::These(None),
            Word::Unknown => return Found::Unknown,
            // Some apps answer before they have made the document.
            Word::No { .. } => sleep(pause).await,
        }
    }
    Found::Nothing
}

/// The app did not take the upload.
async fn refuted(engine: &Engine, arrival: &Arrival, proposal: &Proposal) -> Result<(), Reason> {
    engine.outbox.withdraw(proposal.job).await?;
    arrival.tell(engine, &Event::Refuted { step: Step::Capture, document: &proposal.key });
    Ok(())
}

/// The app has neither the uploaded bytes nor nothing.
async fn keep_others(
    engine: &Engine,
    arrival: &Arrival,
    known: &Mapping,
    read: Read,
) -> Result<(), Reason> {
    let Read { file, seen, .. } = read;
    if hex(&file.sha256) == known.sha256 {
        return engine.outbox.settle(known, known.validators.after_look(known.size, &seen)).await;
    }
    let kind = engine.config.kind_of(&known.key);
    let by = kind.map(|kind| arrival.circumstances(kind)).unwrap_or_default();
    let by = by.with(Validators::of(&seen));
    let files = vec![(known.key.clone(), file)];
    engine.outbox.capture(files, Provenance::default(), Known::just(known), by).await.map(|_| ())
}

async fn deleted<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    arrival: &Arrival,
    kind: &Kind,
    deletion: &Deletion,
) -> Result<(), Reason> {
    let word = probe_afresh(engine, inner, kind, &deletion.key, &arrival.caller).await;
    if word == (Word::No { gone: true }) && deletion.was_there {
        engine.decisions.forget();
        return delete(engine, arrival, deletion).await;
    }
    arrival.tell(engine, &Event::Refuted { step: Step::Delete, document: &deletion.key });
    // It is there still, or a stranger asked. Should it be gone all the same, the app refuses the next view.
    if word != Word::Unknown {
        arrival.write.iter().for_each(WriteUnderWay::refused);
        if let Some(mark) = deletion.mark {
            engine.outbox.lift(&deletion.key, mark).await?;
        }
    }
    Ok(())
}

async fn validators<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    arrival: &Arrival,
    kind: &Kind,
    key: &DocumentKey,
) -> Result<(), Reason> {
    let Some(mapping) = engine.outbox.mapping(key).await? else { return Ok(()) };
    let seen = observe(engine, inner, kind, key, &arrival.caller).await;
    let Validation::Seen(seen) = seen else { return Ok(()) };
    match mapping.validators.compare(mapping.size, &seen) {
        Compared::Differs => _ = engine.outbox.doubt(key).await,
        _ if engine.outbox.is_being_written(key) => {}
        // The app may have other bytes since its reply, and these validators be theirs. Without a length, the first
        // view reads `source` and learns them then.
        _ if !seen.has_length() && kind.source.is_some() => {}
        _ => engine.outbox.learn(&mapping, mapping.validators.learn(&seen)),
    }
    Ok(())
}

/// Forgets what the app has deleted.
pub(super) async fn delete(
    engine: &Engine,
    arrival: &Arrival,
    deletion: &Deletion,
) -> Result<(), Reason> {
    let Deletion { key, prefix, .. } = deletion;
    engine.sources.outdate(key, *prefix).await;
    let forgotten = engine.outbox.delete(key, *prefix).await?;
    arrival.tell(engine, &Event::Deleted { document: key, forgotten });
    Ok(())
}

/// A deletion that may be answered with a redirect waits so long for the app's word before it, about so many documents.
const BEFORE_AT_MOST: Duration = Duration::from_secs(2);
const ASKED_BEFORE: usize = 4;
/// After each time that the app does not let an uploader see a new document.
const PAUSES: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::ZERO];
