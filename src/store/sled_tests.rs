use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::store::conformance::{self, doc, key, put, ready, upload};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let folder = TempDir::new().unwrap();
    let count = AtomicU64::new(0);
    conformance::all(|| async {
        let number = count.fetch_add(1, Ordering::Relaxed);
        SledStore::open(folder.path().join(number.to_string())).unwrap()
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let (first, unused) = {
        let store = SledStore::open(folder.path()).unwrap();
        put(&store, ready(&key("files", "1"), "D")).await;
        let first = store.next_job();
        let batch = Batch { put_jobs: vec![upload(first, &key("files", "1"))], ..Batch::default() };
        store.apply(batch).await.unwrap();
        (first, store.next_job())
    };
    let store = SledStore::open(folder.path()).unwrap();
    let mapping = store.get(&key("files", "1")).await.unwrap().unwrap();
    assert_eq!(mapping.held_document(), Some("D"));
    assert_eq!(store.jobs(None, 9).await.unwrap().len(), 1);
    assert!(store.next_job() > unused && unused > first);

    put(&store, mapping.document.clone()).await;
    let again = store.get(&mapping.key).await.unwrap().unwrap();
    assert!(again.revision > mapping.revision, "revisions go on where they were");
}

#[tokio::test]
async fn names_of_finished_jobs_are_never_given_again() {
    let folder = TempDir::new().unwrap();
    let copy = TempDir::new().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    let id = store.next_job();
    let batch = Batch { put_jobs: vec![upload(id, &key("files", "1"))], ..Batch::default() };
    store.apply(batch).await.unwrap();
    let batch = Batch { remove_jobs: vec![id], ..Batch::default() };
    store.apply(batch).await.unwrap();
    copy_files(folder.path(), copy.path());
    assert!(SledStore::open(copy.path()).unwrap().next_job() > id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_at_any_write() {
    let folder = TempDir::new().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    for round in 0..40_u64 {
        let id = key("files", &round.to_string());
        let batch = Batch {
            put: vec![ready(&id, "D")],
            put_jobs: vec![upload(JobId(round + 1), &id)],
            ..Batch::default()
        };
        assert_eq!(store.apply(batch).await.unwrap(), Applied::Done);
        if round % 8 == 7 {
            // The files as a killed process would leave them: sled never got to close.
            let copy = TempDir::new().unwrap();
            copy_files(folder.path(), copy.path());
            let survivor = SledStore::open(copy.path()).unwrap();
            let mappings = survivor.list(None, 100).await.unwrap().len() as u64;
            let jobs = survivor.jobs(None, 100).await.unwrap().len() as u64;
            assert_eq!((mappings, jobs), (round + 1, round + 1));
        }
    }
}

#[tokio::test]
async fn a_half_written_snapshot_is_no_obstacle() {
    let folder = TempDir::new().unwrap();
    {
        let store = SledStore::open(folder.path()).unwrap();
        put(&store, ready(&key("files", "1"), "D")).await;
    }
    fs::write(folder.path().join("snap.FFFFFFFFFFFFFFFF.generating"), b"half!").unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    assert!(store.get(&key("files", "1")).await.unwrap().is_some());
}

#[test]
fn a_second_open_is_refused_and_harms_nothing() {
    let folder = TempDir::new().unwrap();
    let _store = SledStore::open(folder.path()).unwrap();
    let planted = folder.path().join("snap.0000000000000001.generating");
    fs::write(&planted, b"the first process is writing this").unwrap();
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error:?}");
    let text = error.to_string();
    let path = folder.path().display().to_string();
    assert!(text.contains(&path) && text.contains("transom run"), "{text}");
    assert!(planted.exists(), "the other process's file stays");
}

#[tokio::test]
async fn a_newer_format_is_refused_with_words_and_left_alone() {
    for (format, words) in [("4", "newer"), ("99", "newer"), ("x", "\"x\"")] {
        let folder = TempDir::new().unwrap();
        {
            let store = SledStore::open(folder.path()).unwrap();
            put(&store, ready(&key("files", "1"), "D")).await;
        }
        set_format(folder.path(), format);
        let error = SledStore::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Format(_)), "{error:?}");
        let text = error.to_string();
        let path = folder.path().display().to_string();
        for part in [words, format, &path, "Nothing was changed"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        set_format(folder.path(), "2");
        let store = SledStore::open(folder.path()).unwrap();
        assert!(store.get(&key("files", "1")).await.unwrap().is_some());
    }
}

/// A process that another test starts may hold the lock of a store that was just closed, for as long as it takes to
/// begin.
pub(in crate::store) fn opened(path: &Path) -> sled::Db {
    let config = sled::Config::new().path(path).flush_every_ms(None);
    for _ in 0..500 {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
    config.open().unwrap()
}

fn set_format(folder: &Path, format: &str) {
    let db = opened(folder);
    db.open_tree("meta").unwrap().insert("format", format).unwrap();
}

#[tokio::test]
async fn damage_is_reported_and_nothing_is_deleted() {
    let folder = TempDir::new().unwrap();
    let id = doc(&key("files", "one"));
    {
        let store = SledStore::open(folder.path()).unwrap();
        put(&store, ready(&key("files", "one"), "D")).await;
        put(&store, ready(&key("files", "two"), "D")).await;
    }
    {
        let db = opened(folder.path());
        db.open_tree("documents").unwrap().insert(id.to_be_bytes(), "\u{1}not json").unwrap();
        db.open_tree("documents").unwrap().remove(doc(&key("files", "two")).to_be_bytes()).unwrap();
    }
    let store = SledStore::open(folder.path()).unwrap();
    for name in ["one", "two"] {
        let error = store.get(&key("files", name)).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert!(error.to_string().contains("export"), "{error}");
    }
    drop(store);
    let db = opened(folder.path());
    assert!(db.open_tree("documents").unwrap().get(id.to_be_bytes()).unwrap().is_some());
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
