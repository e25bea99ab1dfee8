//! All records of a store, as text, from wherever they can be read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::store::codec::{decode, json_of};
use crate::store::mirror::{Line, parse};
use crate::store::scrub::shown;
use crate::store::sled_open::Counters;
use crate::store::sled_trees::{NameRecord, Trees};
use crate::store::{DocId, Document, Job, JobId};

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) last_job: u64,
    /// With their revisions.
    pub(super) documents: BTreeMap<DocId, (u64, Box<str>)>,
    pub(super) jobs: BTreeMap<JobId, Box<str>>,
    /// What is known to be gone, and since which revision.
    pub(super) removed: HashMap<DocId, u64>,
    pub(super) done: HashSet<JobId>,
    /// From the beginning to the end.
    pub(super) whole: bool,
    /// What could not be read.
    pub(super) damage: Vec<String>,
}

#[derive(Deserialize)]
struct Head {
    id: DocId,
    revision: u64,
}

#[derive(Deserialize)]
struct JobHead {
    id: JobId,
}

impl State {
    /// `None` where there is no mirror.
    pub(super) fn of_mirror(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut lines = BufReader::new(file);
        let (mut state, mut text, mut number) = (Self::default(), Vec::new(), 0);
        loop {
            text.clear();
            number += 1;
            lines.read_until(b'\n', &mut text)?;
            // A line that is just being written has no end yet.
            let Some(line) = text.strip_suffix(b"\n") else { break };
            match parse(line) {
                Some(line) => state.take(&line),
                None => state.damage.push(format!("line {number} of the mirror is damaged")),
            }
        }
        Ok(Some(state))
    }

    pub(super) fn take(&mut self, line: &Line) {
        self.revision = self.revision.max(line.revision);
        self.last_job = self.last_job.max(line.last_job);
        self.whole |= line.whole;
        for document in &line.documents {
            self.put(document);
        }
        for id in &line.removed {
            self.documents.remove(id);
            self.removed.insert(*id, line.revision);
        }
        for job in &line.jobs {
            if let Ok(JobHead { id }) = serde_json::from_str(job.get()) {
                self.jobs.insert(id, job.get().into());
            }
        }
        for id in &line.done {
            self.jobs.remove(id);
            self.done.insert(*id);
        }
    }

    fn put(&mut self, document: &RawValue) {
        if let Ok(Head { id, revision }) = serde_json::from_str(document.get()) {
            self.documents.insert(id, (revision, document.get().into()));
        }
    }

    /// What sled can read of its trees.
    pub(super) fn of_trees(trees: &Trees, counters: Counters) -> Self {
        let Counters { revision, last_job } = counters;
        let mut state = Self { revision, last_job, whole: true, ..Self::default() };
        for entry in trees.documents.iter() {
            let Ok((key, record)) = state.read("documents", entry) else { break };
            match decode::<Document>("document", &record) {
                Ok(document) => {
                    let text = String::from_utf8_lossy(json_of(&record)).into_owned();
                    state.documents.insert(document.id, (document.revision, text.into()));
                }
                Err(_) => {
                    state.damage.push(format!("document {} is damaged", shown("document", &key)));
                }
            }
        }
        for entry in trees.jobs.iter() {
            let Ok((key, record)) = state.read("jobs", entry) else { break };
            match decode::<Job>("job", &record) {
                Ok(job) => {
                    let text = String::from_utf8_lossy(json_of(&record)).into_owned();
                    state.jobs.insert(job.id, text.into());
                }
                Err(_) => state.damage.push(format!("job {} is damaged", shown("job", &key))),
            }
        }
        for entry in trees.names.iter() {
            let Ok((key, record)) = state.read("names", entry) else { break };
            let name = shown("name", &key);
            match decode::<NameRecord>("name", &record) {
                Ok(found) if state.documents.contains_key(&found.document) => {}
                Ok(_) => {
                    state.damage.push(format!("the document of the name {name} can't be read"));
                }
                Err(_) => state.damage.push(format!("name {name} is damaged")),
            }
        }
        state.whole = state.damage.is_empty();
        state
    }

    fn read<T>(&mut self, what: &str, entry: sled::Result<T>) -> Result<T, ()> {
        entry.map_err(|error| self.damage.push(format!("{what} can't be read on ({error})")))
    }

    /// Whether nothing of it is missing or damaged.
    pub(super) fn is_sound(&self) -> bool {
        self.whole && self.damage.is_empty()
    }

    /// Each record as it was last, from wherever that is.
    #[cfg(feature = "cli")]
    pub(super) fn joined(mut self, other: Self) -> Self {
        for (id, (revision, text)) in other.documents {
            let newer = self.documents.get(&id).is_none_or(|(known, _)| *known < revision);
            let gone = self.removed.get(&id).is_some_and(|removed| *removed > revision);
            if newer && !gone {
                self.documents.insert(id, (revision, text));
            }
        }
        for (id, text) in other.jobs {
            if !self.done.contains(&id) {
                self.jobs.entry(id).or_insert(text);
            }
        }
        self.revision = self.revision.max(other.revision);
        self.last_job = self.last_job.max(other.last_job);
        self.damage.extend(other.damage);
        self
    }
}
