//! What every store has to keep, checked the same way for each.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::Arc;

use super::find_job;
use super::{
    Applied, Batch, Job, JobId, Mapping, MappingState, MappingStore, Progress, Provenance, Task,
    Uploader, Validators,
};
use crate::document::DocumentKey;
use crate::reason::Reason;

/// Runs every check on a fresh store.
pub(super) async fn all<S: MappingStore, F: Future<Output = S>>(fresh: impl Fn() -> F) {
    reads_its_writes(&fresh().await).await;
    is_all_or_nothing(&fresh().await).await;
    insists_on_revisions(&fresh().await).await;
    lists_in_pages_by_key(&fresh().await).await;
    lists_jobs_oldest_first(&fresh().await).await;
    keeps_every_field(&fresh().await).await;
    serves_writers_at_once(Arc::new(fresh().await)).await;
    shows_a_batch_as_a_whole(&fresh().await).await;
}

async fn reads_its_writes(store: &impl MappingStore) {
    let key = key("files", "1");
    for round in 0..50 {
        assert_eq!(store.get(&key).await.unwrap().is_some(), round > 0, "nothing before the first");
        let id = format!("D{round}");
        put(store, ready(&key, &id)).await;
        assert_eq!(store.get(&key).await.unwrap().unwrap().held_document(), Some(id.as_str()));
        if let Some(known) = store.known(&key) {
            assert_eq!(known.held_document(), Some(id.as_str()));
        }
    }
    let batch = Batch { remove: vec![key.clone()], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.known(&key), None);
}

async fn is_all_or_nothing(store: &impl MappingStore) {
    let (old, new, other) = (key("files", "old"), key("files", "new"), key("files", "other"));
    put(store, ready(&old, "OLD")).await;
    let job = store.next_job();
    let batch = || Batch {
        expect: vec![(old.clone(), None)],
        put: vec![ready(&new, "NEW")],
        remove: vec![old.clone()],
        put_jobs: vec![upload(job, &other)],
        ..Batch::default()
    };
    assert_eq!(store.apply(batch()).await.unwrap(), Applied::Conflict);
    assert_eq!(store.get(&new).await.unwrap(), None);
    assert!(store.get(&old).await.unwrap().is_some());
    assert_eq!(find_job(store, job).await.unwrap(), None);

    let revision = store.get(&old).await.unwrap().map(|mapping| mapping.revision);
    let batch = Batch { expect: vec![(old.clone(), revision), (other.clone(), None)], ..batch() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
    assert!(store.get(&new).await.unwrap().is_some());
    assert_eq!(store.get(&old).await.unwrap(), None);
    assert!(find_job(store, job).await.unwrap().is_some());
}

async fn insists_on_revisions(store: &impl MappingStore) {
    let key = key("files", "1");
    put(store, ready(&key, "A")).await;
    let first = store.get(&key).await.unwrap().unwrap().revision;
    put(store, ready(&key, "A")).await;
    let second = store.get(&key).await.unwrap().unwrap().revision;
    assert_ne!(first, second, "writing the same changes the revision");

    let batch = Batch { remove: vec![key.clone()], ..Batch::default() };
    store.apply(batch).await.unwrap();
    put(store, ready(&key, "A")).await;
    for stale in [None, Some(first), Some(second)] {
        let batch = Batch { expect: vec![(key.clone(), stale)], ..Batch::default() };
        assert_eq!(store.apply(batch).await.unwrap(), Applied::Conflict, "{stale:?}");
    }
}

async fn lists_in_pages_by_key(store: &impl MappingStore) {
    let mut keys: Vec<_> = ["a", "a!", "a-b", "a/", "a/b", "a/c", "b", "é", "10", "9"]
        .into_iter()
        .flat_map(|id| ["files", "files2", "file"].map(|kind| key(kind, id)))
        .collect();
    for key in &keys {
        put(store, ready(key, "D")).await;
    }
    keys.sort();
    for limit in [1, 4, 100] {
        let mut seen: Vec<DocumentKey> = Vec::new();
        loop {
            let page = store.list(seen.last(), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|mapping| mapping.key));
        }
        assert_eq!(seen, keys);
    }
    let absent = key("files", "a.");
    let next = store.list(Some(&absent), 1).await.unwrap();
    assert_eq!(next[0].key, key("files", "a/"), "the start need not exist");
}

async fn lists_jobs_oldest_first(store: &impl MappingStore) {
    let ids: Vec<_> = (0..300).map(|_| store.next_job()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    for id in ids.iter().rev() {
        let batch = Batch { put_jobs: vec![upload(*id, &key("files", "1"))], ..Batch::default() };
        store.apply(batch).await.unwrap();
    }
    let mut seen: Vec<JobId> = Vec::new();
    while seen.len() < ids.len() {
        let page = store.jobs(seen.last().copied(), 7).await.unwrap();
        assert!((1..=7).contains(&page.len()));
        seen.extend(page.iter().map(|job| job.id));
    }
    assert_eq!(seen, ids);
    let batch = Batch { remove_jobs: vec![ids[0], ids[2]], ..Batch::default() };
    store.apply(batch).await.unwrap();
    let left = store.jobs(None, 2).await.unwrap();
    assert_eq!([left[0].id, left[1].id], [ids[1], ids[3]]);
}

async fn keeps_every_field(store: &impl MappingStore) {
    let key = key("files", "Übung \"1\"/\u{1F4C4}");
    let states = [
        MappingState::Pending { job: JobId(u64::MAX), previous: Some("P".to_owned()) },
        MappingState::Pending { job: JobId(0), previous: None },
        MappingState::Ready { document_id: "D".to_owned() },
        MappingState::Refused { detail: "415: not this".to_owned() },
    ];
    for state in states {
        let mapping = Mapping { state, ..ready(&key, "") };
        put(store, mapping.clone()).await;
        let read = store.get(&key).await.unwrap().unwrap();
        assert_eq!(*read, Mapping { revision: read.revision, ..mapping });
        assert_eq!(store.list(None, 1).await.unwrap(), [Arc::unwrap_or_clone(read)]);
    }
    let parked = Progress::Parked { reason: Reason::OutcomeUnknown };
    for progress in [Progress::Due { at: 7 }, Progress::Sending, Progress::Unconfirmed, parked] {
        let id = store.next_job();
        let error = Some("timed out".to_owned());
        let job = Job { progress, attempts: 3, last_error: error, ..upload(id, &key) };
        let batch = Batch { put_jobs: vec![job.clone()], ..Batch::default() };
        store.apply(batch).await.unwrap();
        assert_eq!(find_job(store, id).await.unwrap(), Some(job));
    }
}

async fn serves_writers_at_once<S: MappingStore>(store: Arc<S>) {
    let shared = key("files", "shared");
    put(&*store, ready(&shared, "0")).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..32 {
        let (store, shared) = (Arc::clone(&store), shared.clone());
        writers.spawn(async move {
            for round in 0..4 {
                let own = key("files", &format!("{writer}-{round}"));
                put(&*store, ready(&own, "D")).await;
                assert!(store.get(&own).await.unwrap().is_some());
                add_one(&*store, &shared).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let total = store.get(&shared).await.unwrap().unwrap();
    assert_eq!(total.held_document(), Some("128"), "no increment overwrote another");
    assert_eq!(store.list(None, 1000).await.unwrap().len(), 129);
}

/// An upload whose job is there and whose mapping is not would be taken for one that nobody wants any more.
async fn shows_a_batch_as_a_whole(store: &impl MappingStore) {
    for round in 0..40_u64 {
        let (key, id) = (key("files", &round.to_string()), JobId(round + 1));
        assert_eq!(
            store.get(&key).await.unwrap(),
            None,
            "looked for, so that it may be remembered"
        );
        let (put, put_jobs) = (vec![ready(&key, "D")], vec![upload(id, &key)]);
        let writing = store.apply(Batch { put, put_jobs, ..Batch::default() });
        let reading = async {
            while find_job(store, id).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
            assert!(store.get(&key).await.unwrap().is_some(), "round {round}");
        };
        assert_eq!(tokio::join!(writing, reading).0.unwrap(), Applied::Done);
    }
}

async fn add_one(store: &impl MappingStore, key: &DocumentKey) {
    loop {
        let current = store.get(key).await.unwrap().unwrap();
        let count: u64 = current.held_document().unwrap().parse().unwrap();
        let batch = Batch {
            expect: vec![(key.clone(), Some(current.revision))],
            put: vec![ready(key, &(count + 1).to_string())],
            ..Batch::default()
        };
        if store.apply(batch).await.unwrap() == Applied::Done {
            return;
        }
    }
}

pub(super) async fn put(store: &impl MappingStore, mapping: Mapping) {
    let batch = Batch { put: vec![mapping], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
}

pub(super) fn key(kind: &str, id: &str) -> DocumentKey {
    DocumentKey::new(kind, id).unwrap()
}

pub(super) fn ready(key: &DocumentKey, document_id: &str) -> Mapping {
    Mapping {
        key: key.clone(),
        state: MappingState::Ready { document_id: document_id.to_owned() },
        revision: 0,
        title: Some("report \"final\".pdf".to_owned()),
        content_type: "application/pdf".to_owned(),
        size: 12,
        sha256: "ab".repeat(32),
        created_at: 1,
        updated_at: 2,
        provenance: Provenance {
            uploader: Some(Uploader { identity: "app".to_owned(), user: "ann".to_owned() }),
            route: Some("POST /files".to_owned()),
            attributes: [("tenant".to_owned(), "acme".into())].into(),
        },
        captured_by: JobId(0),
        validators: Validators { etag: Some("v1".to_owned()), ..Validators::default() },
        doubt: None,
    }
}

pub(super) fn upload(id: JobId, key: &DocumentKey) -> Job {
    Job {
        id,
        task: Task::Upload {
            key: key.clone(),
            spool: format!("spool-{}", id.0),
            title: None,
            content_type: "application/pdf".to_owned(),
            size: 12,
            sha256: "ab".repeat(32),
        },
        progress: Progress::Due { at: 0 },
        attempts: 0,
        created_at: 0,
        last_error: None,
    }
}
