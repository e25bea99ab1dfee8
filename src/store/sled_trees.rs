//! One tree per kind of record, and how a name leads to its document.

use serde::{Deserialize, Serialize};
use sled::{Db, IVec, Tree};

use super::codec::{RESTORE, decode, job_key, name_key};
use super::scrub::shown;
use super::sled_open::read_error;
use super::{DocId, Document, Job, JobId, Mapping, StoreError};
use crate::document::DocumentKey;

#[derive(Clone, Debug)]
pub(super) struct Trees {
    pub(super) db: Db,
    /// By `DocId`.
    pub(super) documents: Tree,
    /// By kind, host and id.
    pub(super) names: Tree,
    /// By `JobId`.
    pub(super) jobs: Tree,
    pub(super) meta: Tree,
}

/// What a name points at.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NameRecord {
    pub(super) document: DocId,
}

impl Trees {
    pub(super) fn open(db: Db) -> sled::Result<Self> {
        let tree = |name| db.open_tree(name);
        let (documents, names) = (tree("documents")?, tree("names")?);
        let (jobs, meta) = (tree("jobs")?, tree("meta")?);
        Ok(Self { db, documents, names, jobs, meta })
    }

    pub(super) fn document(&self, id: DocId) -> Result<Option<Document>, StoreError> {
        let found = self.documents.get(id.to_be_bytes()).map_err(|error| read_error(&error))?;
        found.map(|bytes| decode("document", &bytes)).transpose()
    }

    pub(super) fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let found = self.jobs.get(job_key(id)).map_err(|error| read_error(&error))?;
        found.map(|bytes| decode("job", &bytes)).transpose()
    }

    pub(super) fn owner(&self, name: &[u8]) -> Result<Option<DocId>, StoreError> {
        let found = self.names.get(name).map_err(|error| read_error(&error))?;
        found.map(|bytes| Ok(decode::<NameRecord>("name", &bytes)?.document)).transpose()
    }

    pub(super) fn find(&self, key: &DocumentKey) -> Result<Option<Mapping>, StoreError> {
        let found = self.find_by(&name_key(key), |document| document.names.contains(key))?;
        Ok(found.map(|document| Mapping { key: key.clone(), document }))
    }

    /// Up to `limit` names from `start` on; what is damaged is told instead.
    pub(super) fn list(
        &self,
        start: Vec<u8>,
        limit: usize,
        damaged: &dyn Fn(String),
    ) -> Result<Vec<Mapping>, StoreError> {
        let read = |entry: sled::Result<(IVec, IVec)>| {
            let (name, _) = entry.map_err(|error| read_error(&error))?;
            let mut key = None;
            let found = self.find_by(&name, |document| {
                key = document.names.iter().find(|key| name_key(key) == *name).cloned();
                key.is_some()
            });
            let found = skip_damaged(
                found,
                || format!("the name {} is damaged", shown("name", &name)),
                damaged,
            )?;
            Ok(found.flatten().zip(key).map(|(document, key)| Mapping { key, document }))
        };
        self.names.range(start..).filter_map(|entry| read(entry).transpose()).take(limit).collect()
    }

    /// Up to `limit` jobs from `start` on; what is damaged is told instead.
    pub(super) fn list_jobs(
        &self,
        start: Vec<u8>,
        limit: usize,
        damaged: &dyn Fn(String),
    ) -> Result<Vec<Job>, StoreError> {
        let read = |entry: sled::Result<(IVec, IVec)>| {
            let (id, record) = entry.map_err(|error| read_error(&error))?;
            skip_damaged(
                decode("job", &record),
                || format!("the job {} is damaged", shown("job", &id)),
                damaged,
            )
        };
        self.jobs.range(start..).filter_map(|entry| read(entry).transpose()).take(limit).collect()
    }

    /// `has` tells whether the document has this name. Between both reads, it may have lost it.
    fn find_by(
        &self,
        name: &[u8],
        mut has: impl FnMut(&Document) -> bool,
    ) -> Result<Option<Document>, StoreError> {
        for _ in 0..MAX_READS {
            let Some(id) = self.owner(name)? else { return Ok(None) };
            if let Some(document) = self.document(id)?
                && has(&document)
            {
                return Ok(Some(document));
            }
        }
        let name = String::from_utf8_lossy(name).replace(char::is_control, "/");
        Err(StoreError::Corrupt(format!(
            "the name {name} points at no document of its own; {RESTORE}"
        )))
    }
}

fn skip_damaged<T>(
    read: Result<T, StoreError>,
    what: impl FnOnce() -> String,
    damaged: &dyn Fn(String),
) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Corrupt(_)) => {
            damaged(what());
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// A name that changes with each read is none that an app gives.
const MAX_READS: usize = 100;
