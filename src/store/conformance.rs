//! What every store has to keep, checked the same way for each. With the feature `store-conformance`, to be named in
//! `[dev-dependencies]` alone.
//!
//! ```
//! use transom::store::{MemoryStore, conformance};
//!
//! # #[tokio::main]
//! # async fn main() {
//! conformance::all(|| async { MemoryStore::new() }).await;
//! # }
//! ```
//!
//! What no test within one process can show is left to the store's own: that a batch is durable once it is applied,
//! and that [`DocumentStore::next_job`] never gives a name again after a restart.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{
    Applied, Batch, DocId, Document, DocumentState, DocumentStore, Job, JobId, NameError, Progress,
    Provenance, Task, Uploader, Validators, add_name, find_job, rename,
};
use crate::document::DocumentKey;
use crate::reason::Reason;

/// Runs every check, each on a fresh store, within a tokio runtime; one of several threads shows more.
///
/// # Panics
/// The store does not keep the contract of [`DocumentStore`].
pub async fn all<S: DocumentStore, F: Future<Output = S>>(fresh: impl Fn() -> F) {
    reads_its_writes(&fresh().await).await;
    is_all_or_nothing(&fresh().await).await;
    insists_on_revisions(&fresh().await).await;
    lists_in_pages_by_key(&fresh().await).await;
    lists_jobs_oldest_first(&fresh().await).await;
    keeps_every_field(&fresh().await).await;
    serves_writers_at_once(Arc::new(fresh().await)).await;
    shows_a_batch_as_a_whole(&fresh().await).await;
    keeps_several_names_of_one_document(&fresh().await).await;
    gives_a_name_to_one_document_only(&fresh().await).await;
    finds_a_renamed_document_by_its_id(&fresh().await).await;
    forgets_a_document_with_its_last_name(&fresh().await).await;
    lets_one_owner_at_a_time_end_a_job(&fresh().await).await;
    renames_while_others_write(Arc::new(fresh().await)).await;
}

async fn reads_its_writes(store: &impl DocumentStore) {
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
    let batch = Batch { remove: vec![doc(&key)], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.document(doc(&key)).await.unwrap(), None);
    assert_eq!(store.known(&key), None);
}

async fn is_all_or_nothing(store: &impl DocumentStore) {
    let (old, new, other) = (key("files", "old"), key("files", "new"), key("files", "other"));
    put(store, ready(&old, "OLD")).await;
    let (job, last) = (store.next_job(), store.next_job());
    let batch = || Batch {
        expect: vec![(doc(&old), None)],
        put: vec![ready(&new, "NEW")],
        remove: vec![doc(&old)],
        put_jobs: vec![upload(job, &other), upload(last, &other)],
        ..Batch::default()
    };
    assert_eq!(store.apply(batch()).await.unwrap(), Applied::Conflict);
    assert_eq!(store.get(&new).await.unwrap(), None);
    assert!(store.get(&old).await.unwrap().is_some());
    assert_eq!(find_job(store, job).await.unwrap(), None);

    let revision = store.get(&old).await.unwrap().map(|mapping| mapping.revision);
    let batch = Batch { expect: vec![(doc(&old), revision), (doc(&other), None)], ..batch() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
    assert!(store.get(&new).await.unwrap().is_some());
    assert_eq!(store.get(&old).await.unwrap(), None);
    assert!(find_job(store, job).await.unwrap().is_some());
    assert!(find_job(store, last).await.unwrap().is_some());
}

async fn insists_on_revisions(store: &impl DocumentStore) {
    let key = key("files", "1");
    put(store, ready(&key, "A")).await;
    let first = store.get(&key).await.unwrap().unwrap().revision;
    put(store, ready(&key, "A")).await;
    let second = store.get(&key).await.unwrap().unwrap().revision;
    assert_ne!(first, second, "writing the same changes the revision");

    let batch = Batch { remove: vec![doc(&key)], ..Batch::default() };
    store.apply(batch).await.unwrap();
    put(store, ready(&key, "A")).await;
    for stale in [None, Some(first), Some(second)] {
        let batch = Batch { expect: vec![(doc(&key), stale)], ..Batch::default() };
        assert_eq!(store.apply(batch).await.unwrap(), Applied::Conflict, "{stale:?}");
    }
}

async fn lists_in_pages_by_key(store: &impl DocumentStore) {
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

async fn lists_jobs_oldest_first(store: &impl DocumentStore) {
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

async fn keeps_every_field(store: &impl DocumentStore) {
    let key = key("files", "Übung \"1\"/\u{1F4C4}");
    let states = [
        DocumentState::Pending { job: JobId(u64::MAX), previous: Some("P".to_owned()) },
        DocumentState::Pending { job: JobId(0), previous: None },
        DocumentState::Ready { document_id: "D".to_owned() },
        DocumentState::Refused { detail: "415: not this".to_owned() },
    ];
    for state in states {
        let document = Document { state, ..ready(&key, "") };
        put(store, document.clone()).await;
        let read = store.get(&key).await.unwrap().unwrap();
        assert_eq!(read.document, Document { revision: read.revision, ..document });
        assert_eq!(store.document(read.id).await.unwrap().as_deref(), Some(&read.document));
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

async fn serves_writers_at_once<S: DocumentStore>(store: Arc<S>) {
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
async fn shows_a_batch_as_a_whole(store: &impl DocumentStore) {
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

async fn keeps_several_names_of_one_document(store: &impl DocumentStore) {
    let (first, second) = (key("files", "1"), key("mails", "a/1"));
    put(store, ready(&first, "D")).await;
    let before = store.get(&first).await.unwrap().unwrap().revision;
    for _ in 0..2 {
        add_name(store, &first, &second).await.unwrap();
    }
    for name in [&first, &second] {
        let found = store.get(name).await.unwrap().unwrap();
        assert_eq!((&found.key, found.id), (name, doc(&first)));
        assert_eq!(found.names, [first.clone(), second.clone()]);
        assert!(found.revision > before, "names change with their document");
    }
    let listed = store.list(None, 9).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|mapping| mapping.key).collect();
    assert_eq!(listed, [first.clone(), second.clone()]);

    put(store, Document { names: vec![second.clone(), first.clone()], ..ready(&first, "E") }).await;
    for name in [&first, &second] {
        let found = store.get(name).await.unwrap().unwrap();
        assert_eq!(found.held_document(), Some("E"), "new bytes are there by all names");
    }
    let unknown = add_name(store, &key("files", "2"), &key("files", "3")).await;
    assert!(matches!(unknown, Err(NameError::Unknown(_))), "{unknown:?}");
}

async fn gives_a_name_to_one_document_only(store: &impl DocumentStore) {
    let (one, two) = (key("files", "1"), key("files", "2"));
    put(store, ready(&one, "ONE")).await;
    put(store, ready(&two, "TWO")).await;
    let taken = [add_name(store, &one, &two).await, rename(store, &one, &two).await];
    assert!(taken.iter().all(|taken| matches!(taken, Err(NameError::Taken(_)))), "{taken:?}");
    let stolen = Document { names: vec![one.clone(), two.clone()], ..ready(&one, "ONE") };
    let job = store.next_job();
    let put_jobs = vec![upload(job, &one)];
    let batch = Batch { put: vec![stolen.clone()], put_jobs, ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Conflict);
    assert_eq!(find_job(store, job).await.unwrap(), None);
    assert_eq!(store.get(&two).await.unwrap().unwrap().id, doc(&two));
    let third = key("files", "3");
    let both = [one.clone(), two.clone()].map(|of| ready(&of, "X"));
    let both = both.map(|document| Document { names: vec![third.clone()], ..document });
    let batch = Batch { put: both.into(), ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Conflict, "two at once");

    let batch = Batch { put: vec![stolen], remove: vec![doc(&two)], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done, "free, as the other goes");
    assert_eq!(store.get(&two).await.unwrap().unwrap().id, doc(&one));
    let one_leaves = Document { names: vec![one.clone()], ..ready(&one, "ONE") };
    let batch = Batch { put: vec![ready(&two, "TWO"), one_leaves], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done, "handed over");
    assert_eq!(store.get(&two).await.unwrap().unwrap().id, doc(&two));
}

async fn finds_a_renamed_document_by_its_id(store: &impl DocumentStore) {
    let (old, new) = (key("files", "old"), key("files", "new"));
    put(store, ready(&old, "D")).await;
    rename(store, &old, &new).await.unwrap();
    assert_eq!((store.get(&old).await.unwrap(), store.known(&old)), (None, None));
    let found = store.get(&new).await.unwrap().unwrap();
    assert_eq!((found.id, &found.names), (doc(&old), &vec![new.clone()]));
    let by_id = store.document(doc(&old)).await.unwrap().unwrap();
    assert_eq!(found.document, *by_id);
    assert!(matches!(rename(store, &old, &new).await, Err(NameError::Unknown(_))));
    rename(store, &new, &new).await.unwrap();

    let again = Document { id: DocId::random(), ..ready(&old, "E") };
    put(store, again).await;
    assert_eq!(store.get(&old).await.unwrap().unwrap().held_document(), Some("E"));
    assert_eq!(store.get(&new).await.unwrap().unwrap().held_document(), Some("D"));
}

async fn forgets_a_document_with_its_last_name(store: &impl DocumentStore) {
    let (one, two) = (key("files", "1"), key("files", "2"));
    put(store, Document { names: vec![one.clone(), two.clone()], ..ready(&one, "D") }).await;
    put(store, Document { names: vec![two.clone()], ..ready(&one, "D") }).await;
    assert_eq!(store.get(&one).await.unwrap(), None);
    assert!(store.get(&two).await.unwrap().is_some());
    put(store, Document { names: Vec::new(), ..ready(&one, "D") }).await;
    assert_eq!(store.get(&two).await.unwrap(), None);
    assert_eq!(store.document(doc(&one)).await.unwrap(), None);
    assert_eq!(store.list(None, 9).await.unwrap(), []);
}

/// Two owners, as of two processes on one store: a claim that was lost can't end the job any more.
async fn lets_one_owner_at_a_time_end_a_job(store: &impl DocumentStore) {
    let key = key("files", "1");
    let id = store.next_job();
    put(store, ready(&key, "OLD")).await;
    let batch = Batch { put_jobs: vec![upload(id, &key)], ..Batch::default() };
    store.apply(batch).await.unwrap();
    let read = find_job(store, id).await.unwrap().unwrap();
    let ending =
        |by| Batch { put: vec![ready(&key, by)], remove_jobs: vec![id], ..Batch::default() };

    let first = read.claimed(100);
    assert_eq!(store.claim(&first, Batch::default()).await.unwrap(), Applied::Done);
    let second = read.claimed(100);
    let with = Batch { put: vec![ready(&key, "SECOND")], ..Batch::default() };
    assert_eq!(store.claim(&second, with).await.unwrap(), Applied::Fenced, "it is taken");
    assert_eq!(store.renew(&first, 200).await.unwrap(), Applied::Done);
    let leased = find_job(store, id).await.unwrap().unwrap();
    assert_eq!((leased.leased_until, leased.progress), (Some(200), Progress::Sending));

    // The first says nothing for longer than its lease: the second takes over from what it reads.
    let second = find_job(store, id).await.unwrap().unwrap().claimed(400);
    assert_eq!(store.claim(&second, Batch::default()).await.unwrap(), Applied::Done);
    assert_eq!(store.renew(&first, 500).await.unwrap(), Applied::Fenced);
    assert_eq!(store.finish(&first, ending("FIRST")).await.unwrap(), Applied::Fenced);
    let held = store.get(&key).await.unwrap().unwrap();
    assert_eq!(held.held_document(), Some("OLD"), "a late finish writes nothing");
    assert_eq!(find_job(store, id).await.unwrap().as_ref(), Some(&second));

    assert_eq!(store.finish(&second, ending("SECOND")).await.unwrap(), Applied::Done);
    assert_eq!(find_job(store, id).await.unwrap(), None);
    assert_eq!(store.finish(&second, ending("TWICE")).await.unwrap(), Applied::Fenced);
    assert_eq!(store.get(&key).await.unwrap().unwrap().held_document(), Some("SECOND"));
}

/// Readers find the document by one of its names or find none; never half of it.
async fn renames_while_others_write<S: DocumentStore>(store: Arc<S>) {
    let names = ["a", "b", "c"].map(|id| key("files", id));
    put(&*store, ready(&names[0], "0")).await;
    let id = doc(&names[0]);
    let mut tasks = tokio::task::JoinSet::new();
    let (writer, renamed) = (Arc::clone(&store), names.clone());
    tasks.spawn(async move {
        for round in 0..40 {
            let (from, to) = (&renamed[round % 3], &renamed[(round + 1) % 3]);
            while rename(&*writer, from, to).await.is_err() {}
        }
    });
    for task in 0..4 {
        let (store, names) = (Arc::clone(&store), names.clone());
        tasks.spawn(async move {
            for round in 0..40 {
                let name = &names[round % 3];
                if let Some(found) = store.get(name).await.unwrap() {
                    assert_eq!((found.id, &found.names), (id, &vec![name.clone()]));
                }
                if round % 8 == task {
                    let found = store.document(id).await.unwrap().unwrap();
                    let expect = vec![(id, Some(found.revision))];
                    let put = vec![Document::clone(&found)];
                    store.apply(Batch { expect, put, ..Batch::default() }).await.unwrap();
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(store.list(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.get(&names[1]).await.unwrap().unwrap().id, id);
}

async fn add_one(store: &impl DocumentStore, key: &DocumentKey) {
    loop {
        let current = store.get(key).await.unwrap().unwrap();
        let count: u64 = current.held_document().unwrap().parse().unwrap();
        let batch = Batch {
            expect: vec![(current.id, Some(current.revision))],
            put: vec![ready(key, &(count + 1).to_string())],
            ..Batch::default()
        };
        if store.apply(batch).await.unwrap() == Applied::Done {
            return;
        }
    }
}

pub(super) async fn put(store: &impl DocumentStore, document: Document) {
    let batch = Batch { put: vec![document], ..Batch::default() };
    assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
}

pub(super) fn key(kind: &str, id: &str) -> DocumentKey {
    DocumentKey::new(kind, id).unwrap()
}

/// The document that has this name at first.
pub(super) fn doc(key: &DocumentKey) -> DocId {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:032x}", hasher.finish()).parse().unwrap()
}

pub(super) fn ready(key: &DocumentKey, document_id: &str) -> Document {
    let state = DocumentState::Ready { document_id: document_id.to_owned() };
    Document {
        id: doc(key),
        title: Some("report \"final\".pdf".to_owned()),
        content_type: "application/pdf".to_owned(),
        size: 12,
        sha256: "ab".repeat(32),
        updated_at: 2,
        provenance: Provenance {
            uploader: Some(Uploader { identity: "app".to_owned(), user: "ann".to_owned() }),
            route: Some("POST /files".to_owned()),
            attributes: [("tenant".to_owned(), "acme".into())].into(),
        },
        validators: Validators { etag: Some("v1".to_owned()), ..Validators::default() },
        ..Document::new(key.clone(), state, 1)
    }
}

pub(super) fn upload(id: JobId, key: &DocumentKey) -> Job {
    let task = Task::Upload {
        key: key.clone(),
        spool: format!("spool-{}", id.0),
        title: None,
        content_type: "application/pdf".to_owned(),
        size: 12,
        sha256: "ab".repeat(32),
    };
    Job::new(id, doc(key), task, 0)
}
