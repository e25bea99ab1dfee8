//! A store's file is damaged in many places, and what is whole is found again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::store::conformance::{key, ready, upload};
use crate::store::{Batch, DocumentStore, SledStore, sled_place::Place, spool_path};

/// What was in the store before: the names of documents, and what the spool has for its jobs.
struct Golden {
    folder: TempDir,
    documents: usize,
    jobs: usize,
}

const DOCUMENTS: usize = 300;
const JOBS: usize = 20;

impl Golden {
    /// `runs`: sled writes a snapshot when it is opened again. Without `closed`, the process was killed.
    async fn new(runs: usize, closed: bool) -> Self {
        let (folder, life) = (temporary(), temporary());
        fs::create_dir(spool_path(life.path())).unwrap();
        for run in 0..runs {
            let store = SledStore::open_below(life.path()).unwrap();
            for number in (run * DOCUMENTS / runs)..((run + 1) * DOCUMENTS / runs) {
                let id = key("files", &number.to_string());
                let mut document = ready(&id, &format!("D{number}"));
                document.title = Some("t".repeat(number));
                let mut batch = Batch { put: vec![document], ..Batch::default() };
                if number % (DOCUMENTS / JOBS) == 0 {
                    let job = upload(store.next_job(), &id);
                    let file = spool_path(life.path()).join(job.spool().unwrap());
                    fs::write(file, number.to_string()).unwrap();
                    batch.put_jobs.push(job);
                }
                store.apply(batch).await.unwrap();
            }
            idle(life.path()).await;
            if !closed && run + 1 == runs {
                copy(life.path(), folder.path());
            }
        }
        if closed {
            copy(life.path(), folder.path());
        }
        let jobs = fs::read_dir(spool_path(folder.path())).unwrap().count();
        Self { folder, documents: DOCUMENTS, jobs }
    }

    async fn assert_complete(&self, store: &SledStore, case: &str) {
        let listed = store.list(None, 10_000).await.unwrap();
        assert_eq!(listed.len(), self.documents, "{case}");
        for number in 0..self.documents {
            let found = store.get(&key("files", &number.to_string())).await.unwrap().unwrap();
            assert_eq!(found.held_document(), Some(&*format!("D{number}")), "{case}");
        }
        assert_eq!(store.jobs(None, 10_000).await.unwrap().len(), self.jobs, "{case}");
    }
}

/// Until the mirror of an open store is complete.
async fn idle(folder: &Path) {
    let mirror = Place::below(folder).mirror();
    for _ in 0..1000 {
        if mirror.exists() && !mirror.with_extension("next").exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the mirror was never complete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_at_300_places_is_found_looking_makes_nothing_worse_and_nothing_is_lost() {
    let seed = std::env::var("TRANSOM_DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("TRANSOM_DAMAGE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    let goldens =
        [Golden::new(1, false).await, Golden::new(3, false).await, Golden::new(3, true).await];
    let (mut found, mut harmless, mut refused) = (0, 0, 0);
    for case in 0..300 {
        let golden = &goldens[case % 3];
        let folder = temporary();
        copy(golden.folder.path(), folder.path());
        let log = Place::below(folder.path()).log();
        let mut bytes = fs::read(&log).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let told = match case {
            0..200 => {
                let bit = random.random_range(0..end * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                format!("case {case}: bit {bit}")
            }
            200..250 => {
                let page = random.random_range(0..end.div_ceil(4096)) * 4096;
                let to = (page + 4096).min(bytes.len());
                bytes[page..to].fill(0);
                format!("case {case}: page at {page}")
            }
            _ => {
                bytes.truncate(random.random_range(0..end));
                format!("case {case}: cut at {}", bytes.len())
            }
        };
        fs::write(&log, bytes).unwrap();
        let damaged = content(folder.path());

        let verified = verify(folder.path()).unwrap();
        let looked = SledStore::look_below(folder.path());
        let shown = match &looked {
            Ok(store) => store.list(None, 10_000).await.unwrap().len(),
            Err(_) => 0,
        };
        drop(looked);
        assert!(content(folder.path()) == damaged, "{told}: looking changed something");
        if verified.problems.is_empty() {
            // A byte that means nothing.
            assert!(case % 3 != 2, "{told}: a store that was closed has no such bytes");
            assert_eq!(shown, golden.documents, "{told}");
            harmless += 1;
        } else {
            found += 1;
        }

        let store = SledStore::start_at(Place::below(folder.path())).unwrap();
        if store.is_ready() {
            let whole = store.list(None, 10_000).await.unwrap().len();
            assert!(whole == golden.documents || !verified.problems.is_empty(), "{told}");
        } else {
            refused += 1;
            assert!(!verified.problems.is_empty(), "{told}");
            drop(store);
            assert!(content(folder.path()) == damaged, "{told}: it was not left alone");
        }

        // Takes longest, and is the same for all.
        if case % 4 > 0 {
            continue;
        }
        repair(folder.path()).unwrap_or_else(|error| panic!("{told}: {error}"));
        let store = SledStore::open_below(folder.path()).unwrap_or_else(|e| panic!("{told}: {e}"));
        golden.assert_complete(&store, &told).await;
        drop(store);
        let spool = spool_path(golden.folder.path());
        let files = |folder: &Path| content(&folder.join("spool"));
        assert_eq!(files(folder.path()).len(), fs::read_dir(spool).unwrap().count(), "{told}");
    }
    println!(
        "{found} found, {harmless} without effect, {refused} not opened, in {:?}",
        began.elapsed()
    );
    assert!(found > 150, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_brings_everything_back() {
    let golden = Golden::new(2, true).await;
    let (folder, file) = (golden.folder.path(), golden.folder.path().join("backup"));
    let store = SledStore::open_below(folder).unwrap();
    let counted = backup(folder, &file).unwrap();
    assert_eq!(
        (counted.documents, counted.jobs, counted.files),
        (golden.documents, golden.jobs, golden.jobs)
    );
    assert!(matches!(restore(folder, &file), Err(StoreError::Locked(_))), "it is in use");
    drop(store);

    let elsewhere = temporary();
    let to = elsewhere.path().join("data");
    assert_eq!(restore(&to, &file).unwrap(), counted);
    assert_eq!(verify(&to).unwrap().problems, Vec::<String>::new());
    golden.assert_complete(&SledStore::open_below(&to).unwrap(), "restored").await;
    let spooled = content(&spool_path(&to));
    assert!(spooled == content(&spool_path(folder)));

    let whole = fs::read(&file).unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..40 {
        let mut bytes = whole.clone();
        let bit = random.random_range(0..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, bytes).unwrap();
        assert!(restore(&to, &file).is_err(), "bit {bit}");
    }
    assert!(content(&spool_path(&to)) == spooled, "what was there stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_taken_away_or_exchanged_for_an_older_one_is_noticed() {
    let golden = Golden::new(2, true).await;
    let (folder, place) = (golden.folder.path(), Place::below(golden.folder.path()));
    let older = temporary();
    copy(&place.sled, older.path());
    {
        let store = SledStore::open_below(folder).unwrap();
        assert!(store.is_whole());
        let put = vec![ready(&key("files", "new"), "D")];
        store.apply(Batch { put, ..Batch::default() }).await.unwrap();
        idle(folder).await;
    }
    fs::remove_dir_all(&place.sled).unwrap();
    copy(older.path(), &place.sled);
    let store = SledStore::open_below(folder).unwrap();
    assert!(!store.is_whole(), "an older one");
    drop(store);
    let store = SledStore::open_below(folder).unwrap();
    assert!(!store.is_whole(), "as long as the spool was not looked through");
    store.loss_is_dealt_with();
    store.apply(Batch::default()).await.unwrap();
    drop(store);
    assert!(SledStore::open_below(folder).unwrap().is_whole());

    fs::remove_dir_all(&place.sled).unwrap();
    assert!(!SledStore::open_below(folder).unwrap().is_whole(), "a new one");
}

/// In memory where that can be had: what is damaged here are bytes, not disks.
fn temporary() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.exists() { memory.to_owned() } else { std::env::temp_dir() };
    TempDir::new_in(folder).unwrap()
}

/// Every file below, with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(
                content(&path).into_iter().map(|(inner, bytes)| {
                    (Path::new(path.file_name().unwrap()).join(inner), bytes)
                }),
            );
        } else {
            found.insert(path.file_name().unwrap().into(), fs::read(&path).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in content(from) {
        let to = to.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}
