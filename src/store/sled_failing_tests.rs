//! A disk that fails, stalls and comes back under an open store.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::store::conformance::{key, put, ready, upload};
use crate::store::sled_faults::Fault::{Fail, Panic, Stall};
use crate::store::sled_faults::Moment::{Open, Sync, Write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failing_disk_did_not_take_is_written_when_it_does() {
    for faults in [
        vec![(Write, Fail)],
        vec![(Sync, Fail)],
        vec![(Write, Fail), (Write, Fail), (Sync, Fail), (Write, Fail)],
        vec![(Sync, Fail), (Open, Fail), (Open, Fail), (Sync, Fail)],
        vec![(Write, Panic)],
        vec![(Sync, Panic), (Open, Panic)],
    ] {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(SledStore::open(folder.path()).unwrap());
        put(&*store, ready(&key("files", "before"), "D")).await;
        store.life.faults.script(faults.clone());
        let writers = (0..20_u32).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = key("files", &number.to_string());
                let job = store.next_job();
                let batch = Batch {
                    expect: vec![(ready(&name, "D").id, None)],
                    put: vec![ready(&name, "D")],
                    put_jobs: vec![upload(job, &name)],
                    ..Batch::default()
                };
                // Insists on the document's not being there: applied twice, it would be a conflict.
                assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert!(store.failures() > 0, "{faults:?}");
        assert_eq!(store.health(), Ok(()));
        assert_eq!(store.list(None, 99).await.unwrap().len(), 21, "{faults:?}");
        drop(store);
        let store = SledStore::open(folder.path()).unwrap();
        assert_eq!(store.list(None, 99).await.unwrap().len(), 21, "{faults:?}");
        assert_eq!(store.jobs(None, 99).await.unwrap().len(), 20, "{faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_documents_are_served_while_the_store_is_not_open() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SledStore::open(folder.path()).unwrap());
    let (known, other) = (key("files", "1"), key("files", "2"));
    put(&*store, ready(&known, "D")).await;
    store.life.faults.script([(Write, Fail)].into_iter().chain([(Open, Fail); 20]));
    let writing = tokio::spawn({
        let (store, other) = (store.clone(), other.clone());
        async move { put(&*store, ready(&other, "D")).await }
    });
    while store.health().is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(store.is_ready(), "it was open");
    assert!(store.get(&known).await.unwrap().is_some(), "from memory");
    let refused = store.get(&other).await;
    assert!(matches!(refused, Err(StoreError::Stopped(_)) | Ok(Some(_))), "{refused:?}");
    writing.await.unwrap();
    assert!(store.get(&other).await.unwrap().is_some());
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    let stall = DEADLINE + Duration::from_millis(500);
    store.life.faults.script([(Sync, Stall(stall))]);
    let (began, id) = (Instant::now(), key("files", "1"));
    put(&store, ready(&id, "D")).await;
    assert!(began.elapsed() >= stall);
    assert_eq!(store.failures(), 0);
    assert!(store.get(&id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_can_not_be_opened_at_the_start_opens_later() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    // No folder can be made there.
    fs::write(&path, "in the way").unwrap();
    let store = Arc::new(SledStore::start(&path).unwrap());
    assert!(!store.is_ready() && store.health().unwrap_err().contains("store"));
    assert!(matches!(store.get(&key("files", "1")).await, Err(StoreError::Stopped(_))));
    let job = store.next_job();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { put(&*store, ready(&key("files", "1"), "D")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::remove_file(&path).unwrap();
    writing.await.unwrap();
    assert!(store.is_ready() && store.health().is_ok());
    assert!(store.get(&key("files", "1")).await.unwrap().is_some());
    assert!(store.next_job() > job);
}

#[test]
fn a_store_that_never_opened_ends_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    fs::write(&path, "in the way").unwrap();
    let began = Instant::now();
    drop(SledStore::start(&path).unwrap());
    assert!(began.elapsed() < DEADLINE);
}
