use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::store::sled_store::tests::opened;
use crate::store::sled_trees::Trees;
use crate::store::{DocumentState, DocumentStore, JobId, Progress, SledStore, StoreError, Task};

/// A store that the binary of format 1 left after a kill: tree, key and value of each record.
const FORMAT_1: &str = include_str!("../../tests/stores/format-1.txt");

#[tokio::test]
async fn a_store_of_format_1_is_read_with_every_mapping_and_job() {
    let folder = former();
    // And once more, as format 2.
    for _ in 0..2 {
        check(&SledStore::open(folder.path()).unwrap()).await;
    }
    let db = opened(folder.path());
    assert_eq!(db.open_tree("meta").unwrap().get("format").unwrap().unwrap(), "3");
    assert!(!db.tree_names().contains(&sled::IVec::from("mappings")), "the old records are gone");
}

#[tokio::test]
async fn a_kill_at_any_step_leaves_what_the_next_start_completes() {
    let folder = former();
    let copies = TempDir::new().unwrap();
    let mut steps = 0;
    {
        let db = opened(folder.path());
        let trees = Trees::open(db).unwrap();
        let log = fs::File::options().write(true).open(folder.path().join("db")).unwrap();
        run(&trees, &log, &mut || {
            trees.db.flush().unwrap();
            let copy = copies.path().join(steps.to_string());
            fs::create_dir(&copy).unwrap();
            copy_files(folder.path(), &copy);
            steps += 1;
        })
        .unwrap();
    }
    assert!(steps >= 7, "{steps} steps");
    for step in 0..steps {
        let copy = copies.path().join(step.to_string());
        let is_former = {
            let db = opened(&copy);
            let format = db.open_tree("meta").unwrap().get("format").unwrap().unwrap();
            let mappings = db.open_tree("mappings").unwrap();
            let jobs = db.open_tree("jobs").unwrap();
            assert_eq!(
                (mappings.len(), jobs.len()),
                (13, 7),
                "step {step}: the old ones are all there"
            );
            format == "1"
        };
        assert_eq!(is_former, step + 1 < steps, "step {step}");
        // Nothing that was done before counts twice.
        check(&SledStore::open(&copy).unwrap()).await;
    }
}

#[tokio::test]
async fn what_can_not_be_read_stays_as_it_is_and_harms_no_other() {
    let folder = former();
    {
        let db = opened(folder.path());
        db.open_tree("mappings").unwrap().insert("files\0broken", "\u{1}not json").unwrap();
    }
    let store = SledStore::open(folder.path()).unwrap();
    let broken = store.get(&DocumentKey::new("files", "broken").unwrap()).await;
    assert!(matches!(broken, Err(StoreError::Corrupt(_))), "{broken:?}");
    assert!(store.get(&DocumentKey::new("files", "1").unwrap()).await.unwrap().is_some());
}

async fn check(store: &SledStore) {
    let key = |kind: &str, id: &str| DocumentKey::new(kind, id).unwrap();
    let listed = store.list(None, 100).await.unwrap();
    let old: Vec<Value> = records("mappings");
    assert_eq!(listed.len(), old.len());
    for (new, old) in listed.iter().zip(&old) {
        let mut expected = old.clone();
        let name = expected.as_object_mut().unwrap().remove("key").unwrap();
        let mut written = serde_json::to_value(&new.document).unwrap();
        let fields = written.as_object_mut().unwrap();
        assert_eq!(fields.remove("id"), Some(new.id.to_string().into()));
        assert_eq!(fields.remove("names"), Some(Value::Array(vec![name.clone()])));
        assert_eq!(fields.remove("tenant").as_ref(), name.get("host"));
        assert_eq!(written, expected, "all else is as it was");
        assert_eq!(store.document(new.id).await.unwrap().as_deref(), Some(&new.document));
    }
    let found = async |kind, id| store.get(&key(kind, id)).await.unwrap().unwrap();
    assert_eq!(found("files", "1").await.title.as_deref(), Some("Übung \"1\".pdf"));
    let replaced = found("bare", "replaced").await;
    assert!(matches!(&replaced.state, DocumentState::Pending { previous: Some(_), .. }));
    assert!(matches!(found("bare", "lost").await.state, DocumentState::Lost { .. }));
    assert!(matches!(found("files", "refused").await.state, DocumentState::Refused { .. }));
    assert!(found("bare", "doubt").await.doubt.is_some());
    assert_eq!(found("files", "proposed").await.unconfirmed_job(), Some(JobId(49)));

    let jobs = store.jobs(None, 100).await.unwrap();
    let old: Vec<Value> = records("jobs");
    assert_eq!(jobs.len(), old.len());
    for (job, old) in jobs.iter().zip(&old) {
        let mut written = serde_json::to_value(job).unwrap();
        written.as_object_mut().unwrap().remove("document");
        assert_eq!(written, *old);
        let owner = store.get(job.key()).await.unwrap();
        match job.task {
            Task::Upload { .. } => assert_eq!(owner.map(|owner| owner.id), Some(job.document)),
            // Format 1 has no other kind.
            _ => assert_eq!(owner, None, "the app has deleted it"),
        }
    }
    let progress: BTreeMap<_, _> =
        jobs.iter().map(|job| (job.key().id(), job.progress.clone())).collect();
    assert_eq!(progress["sending"], Progress::Sending);
    assert_eq!(progress["parked"], Progress::Parked { reason: Reason::OutcomeUnknown });
    assert_eq!(progress["form"], Progress::Unconfirmed);
    assert!(store.next_job() > JobId(49), "names of jobs go on where they were");
}

fn records(tree: &str) -> Vec<Value> {
    let of_tree = rows().filter(|(name, ..)| *name == tree);
    of_tree.map(|(_, _, value)| serde_json::from_slice(&value[1..]).unwrap()).collect()
}

fn former() -> TempDir {
    let folder = TempDir::new().unwrap();
    let db = opened(folder.path());
    for (tree, key, value) in rows() {
        db.open_tree(tree).unwrap().insert(key, value).unwrap();
    }
    db.flush().unwrap();
    folder
}

fn rows() -> impl Iterator<Item = (&'static str, Vec<u8>, Vec<u8>)> {
    FORMAT_1.lines().map(|line| {
        let mut parts = line.split('\t');
        let mut part = || parts.next().unwrap();
        (part(), bytes(part()), bytes(part()))
    })
}

/// `\xNN` is a byte, all else stands for itself.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
