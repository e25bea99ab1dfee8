//! Compares what DWS has with what is known of it: `transom settle`, and every few hours.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OutboxError;
use super::core::Core;
use super::kinds::is_pdf;
use crate::backend::{Backend, BackendError, ListedDocument, shown_title};
use crate::document::DocumentKey;
use crate::events::Event;
use crate::store::{
    Applied, Batch, Document, DocumentState, DocumentStore, Job, Mapping, StoreError, Task,
};

/// A document that one side has and the other has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// `orphan`: DWS has it once more than it is needed, from an upload of ours. `gone`: DWS has it no longer.
    /// `unknown`: somebody else's. `other_key`: stored with another key, as it seems, since DWS has none that are known.
    pub(crate) finding: String,
    /// DWS's id.
    pub(crate) document_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The app's, of the document that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The app's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
    /// `remove`, `mark_lost` or `none`.
    pub(crate) action: String,
    /// The action was taken.
    pub(crate) done: bool,
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Reconciled {
    pub(crate) findings: Vec<Finding>,
    /// Removals that are due now.
    pub(super) removals: Vec<Job>,
    /// Documents that were marked as lost.
    pub(super) lost: Vec<(DocumentKey, String)>,
}

/// Looks through all of it. With `dry_run` nothing is changed; else orphans are journalled for removal, and documents
/// that are gone marked as lost, so that the next view reads the app's `source`.
///
/// # Errors
/// DWS or the store does not answer; what was done by then counts.
pub(crate) async fn reconcile(
    store: &dyn DocumentStore,
    backend: &dyn Backend,
    now: u64,
    dry_run: bool,
) -> Result<Reconciled, OutboxError> {
    // Before the store is read: what is stored from here on is not looked at.
    let listed = list_all(backend).await?;
    let mut unknown: HashMap<&str, &ListedDocument> =
        listed.iter().map(|one| (one.id.as_str(), one)).collect();
    let under_way = forget_those_of_jobs(store, &mut unknown).await?;
    let all: HashSet<&str> = listed.iter().map(|one| one.id.as_str()).collect();
    let mut missing = Vec::new();
    let mut is_ours = false;
    each_mapping(store, |mapping| {
        let Some(held) = mapping.held_document() else { return };
        unknown.remove(held);
        is_ours |= all.contains(held);
        let is_ready = matches!(mapping.state, DocumentState::Ready { .. });
        if is_ready && !all.contains(held) && missing.len() < MOST {
            missing.push(mapping);
        }
    })
    .await?;
    let mut reconciled = Reconciled::default();
    let orphans = orphans(store, backend, &unknown, &all, &under_way).await?;
    for (id, one) in &unknown {
        let owner = orphans.get(*id);
        let mut finding = Finding::of(if owner.is_some() { "orphan" } else { "unknown" }, id);
        finding.title.clone_from(&one.title);
        if let Some(owner) = owner {
            finding = Finding { action: "remove".to_owned(), ..finding.about(&owner.key) };
            if !dry_run {
                let (key, id) = (owner.key.clone(), (*id).to_owned());
                let removal = Job::remove(store.next_job(), owner.id, key, id, now);
                let put_jobs = vec![removal.clone()];
                store.apply(Batch { put_jobs, ..Batch::default() }).await?;
                reconciled.removals.push(removal);
                finding.done = true;
            }
        }
        reconciled.findings.push(finding);
    }
    for mapping in missing {
        reconciled.lose(store, backend, mapping, is_ours, dry_run).await?;
    }
    Ok(reconciled)
}

/// For the outbox that is running.
pub(super) async fn run(core: &Core, dry_run: bool) -> Result<Vec<Finding>, OutboxError> {
    let backend = core.backend.get();
    let reconciled = reconcile(&*core.store, &*backend, core.clock.now(), dry_run).await?;
    core.queued(&reconciled.removals);
    for (document, document_id) in &reconciled.lost {
        core.tell(&Event::DocumentLost { document, document_id });
    }
    Ok(reconciled.findings)
}

/// Every few hours; never ends.
pub(super) async fn now_and_then(core: &Core) {
    loop {
        tokio::time::sleep(EVERY.mul_f64(0.75 + crate::random::fraction() / 2.0)).await;
        if core.pause.is_on() {
            continue;
        }
        match run(core, false).await {
            Ok(findings) => {
                let done = findings.iter().filter(|finding| finding.done).count();
                tracing::info!(
                    found = findings.len(),
                    done,
                    "what DWS has was compared with what is known of it"
                );
            }
            Err(error) => {
                tracing::info!(%error, "what DWS has could not be compared with what is known of it");
            }
        }
    }
}

impl Reconciled {
    async fn lose(
        &mut self,
        store: &dyn DocumentStore,
        backend: &dyn Backend,
        mapping: Mapping,
        is_ours: bool,
        dry_run: bool,
    ) -> Result<(), OutboxError> {
        let Some(held) = mapping.held_document().map(str::to_owned) else { return Ok(()) };
        let mut finding = Finding::of(if is_ours { "gone" } else { "other_key" }, &held);
        finding = Finding { title: mapping.title.clone(), ..finding.about(&mapping.key) };
        if is_ours {
            if !backend.has_lost(&held).await.map_err(not_answered)? {
                return Ok(());
            }
            finding.action = "mark_lost".to_owned();
            finding.done = !dry_run && mark_lost(store, &mapping, &held).await?;
            if finding.done {
                self.lost.push((mapping.key.clone(), held));
            }
        }
        self.findings.push(finding);
        Ok(())
    }
}

async fn mark_lost(
    store: &dyn DocumentStore,
    mapping: &Mapping,
    held: &str,
) -> Result<bool, StoreError> {
    let state = DocumentState::Lost { document_id: held.to_owned() };
    let expect = vec![(mapping.id, Some(mapping.revision))];
    let put = vec![Document { state, ..mapping.document.clone() }];
    // One that has changed meanwhile is looked at the next time.
    Ok(store.apply(Batch { expect, put, ..Batch::default() }).await? == Applied::Done)
}

async fn list_all(backend: &dyn Backend) -> Result<Vec<ListedDocument>, OutboxError> {
    let (mut listed, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let page = backend.list(cursor.as_deref()).await.map_err(not_answered)?;
        listed.extend(page.documents);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(listed);
        }
    }
    Err(OutboxError::Backend(format!("it lists more than {MAX_PAGES} pages of documents")))
}

/// Those that jobs name are none of the unknown. Returns the hashes of what is not at DWS for certain yet.
async fn forget_those_of_jobs(
    store: &dyn DocumentStore,
    unknown: &mut HashMap<&str, &ListedDocument>,
) -> Result<HashSet<String>, StoreError> {
    let (mut hashes, mut after) = (HashSet::new(), None);
    loop {
        let page = store.jobs(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(hashes) };
        after = Some(last.id);
        for job in page {
            if let Some(sent) = job.sent {
                for id in sent.document_id.iter().chain(&sent.candidates) {
                    unknown.remove(id.as_str());
                }
            }
            match job.task {
                Task::Upload { sha256, .. } => {
                    hashes.insert(sha256);
                }
                Task::Remove { document_id, .. } => {
                    unknown.remove(document_id.as_str());
                }
            }
        }
    }
}

async fn each_mapping(
    store: &dyn DocumentStore,
    mut with: impl FnMut(Mapping),
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        page.into_iter().for_each(&mut with);
    }
}

/// Unknown documents with the bytes of one that is known and there, stored while that was being delivered: a late
/// arrival of an attempt that was made again. By id.
async fn orphans<'a>(
    store: &dyn DocumentStore,
    backend: &dyn Backend,
    unknown: &HashMap<&'a str, &ListedDocument>,
    all: &HashSet<&str>,
    under_way: &HashSet<String>,
) -> Result<HashMap<&'a str, Mapping>, OutboxError> {
    let mut by_hash: HashMap<String, Vec<&'a str>> = HashMap::new();
    for id in unknown.keys().take(MOST) {
        let properties = backend.properties(id).await.map_err(not_answered)?;
        let hash = properties.and_then(|properties| properties.sha256);
        // It may be what that upload has stored.
        if let Some(hash) = hash.filter(|hash| !under_way.contains(hash)) {
            by_hash.entry(hash).or_default().push(id);
        }
    }
    let titles_count = backend.capabilities().honours_titles.surely();
    let mut orphans = HashMap::new();
    each_mapping(store, |mapping| {
        let DocumentState::Ready { document_id } = &mapping.state else { return };
        let Some(ids) = by_hash.get(&mapping.sha256) else { return };
        if !is_pdf(&mapping.content_type) || !all.contains(document_id.as_str()) {
            return;
        }
        let (from, to) = (mapping.created_at.saturating_sub(SKEW), mapping.created_at + LATEST);
        for id in ids {
            let Some(one) = unknown.get(id) else { continue };
            let in_time = one.created_at.is_some_and(|at| (from..=to).contains(&at));
            let title = shown_title(mapping.title.as_deref());
            if in_time && (!titles_count || one.title.as_deref() == Some(&*title)) {
                orphans.entry(*id).or_insert_with(|| mapping.clone());
            }
        }
    })
    .await?;
    Ok(orphans)
}

impl Finding {
    fn of(finding: &str, document_id: &str) -> Self {
        Self {
            finding: finding.to_owned(),
            document_id: document_id.to_owned(),
            title: None,
            kind: None,
            host: None,
            document: None,
            action: "none".to_owned(),
            done: false,
        }
    }

    fn about(self, key: &DocumentKey) -> Self {
        Self {
            kind: Some(key.kind().to_owned()),
            host: key.host().map(str::to_owned),
            document: Some(key.id().to_owned()),
            ..self
        }
    }
}

fn not_answered(error: BackendError) -> OutboxError {
    OutboxError::Backend(error.detail)
}

/// Between two comparisons, a quarter more or less.
const EVERY: Duration = Duration::from_secs(6 * 3600);
const PAGE: usize = 500;
const MAX_PAGES: usize = 10_000;
/// Documents that are looked at one by one in one comparison.
const MOST: usize = 1000;
/// Milliseconds after a document was first seen in which an attempt at it may have arrived: a day.
const LATEST: u64 = 24 * 3600 * 1000;
/// Milliseconds by which the clocks may differ.
const SKEW: u64 = 120_000;
