//! Writes batches to an open store: each as a whole, and then all of a group made durable together.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
use std::sync::Arc;

use sled::Transactional;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, TransactionalTree, UnabortableTransactionError,
};

use super::codec::{encode, job_key, name_key};
use super::mirror::LineText;
#[cfg(test)]
use super::sled_faults::Moment;
use super::sled_life::Life;
use super::sled_open::{LAST_JOB_KEY, Opened, REVISION_KEY, read_error};
use super::sled_trees::{NameRecord, Trees};
use super::{Applied, Batch, DocId, Document, Mapping, StoreError, names};
use crate::document::DocumentKey;

/// What a group of batches changes, for the cache.
pub(super) type Changes = Vec<(DocumentKey, Option<Mapping>)>;

/// An open store. After a failure of its disk it is good for nothing: what is durable is not known then.
pub(super) struct Writer {
    trees: Trees,
    log: File,
    life: Arc<Life>,
    revision: u64,
    /// What the mirror does not have yet.
    lines: Vec<u8>,
}

/// Why a batch was not written.
pub(super) enum WriteError {
    /// The store is as it was.
    Refused(StoreError),
    /// The disk did not take it, or not for certain. `lost`: something that it had taken may be gone.
    Disk { told: String, lost: bool },
    /// The store itself is at fault.
    Broken(StoreError),
}

impl Writer {
    /// `revision`: the last one that was given out, durable or not.
    pub(super) fn new(opened: Opened, life: Arc<Life>, revision: u64) -> Self {
        let Opened { trees, log, counters, .. } = opened;
        Self { trees, log, life, revision: counters.revision.max(revision), lines: Vec::new() }
    }

    pub(super) fn trees(&self) -> &Trees {
        &self.trees
    }

    /// Of the last group.
    pub(super) fn take_lines(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
    }

    /// Of the last batch.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn apply(
        &mut self,
        batch: Batch,
        changes: &mut Changes,
    ) -> Result<Applied, WriteError> {
        let batch = batch.tidy();
        for (id, held) in &batch.fences {
            if self.trees.job(*id)?.map(|job| job.fence) != Some(*held) {
                return Ok(Applied::Fenced);
            }
        }
        let before = self.documents_of(&batch)?;
        let current = |id| before.get(id).map(|document| document.revision);
        if batch.expect.iter().any(|(id, revision)| current(id) != *revision) {
            return Ok(Applied::Conflict);
        }
        let names = names::changes(&batch, |id| before.get(&id), |key| self.owner(key))?;
        let Some(names) = names else { return Ok(Applied::Conflict) };
        // Also a batch without documents has one, so that it can be told whether it was written.
        self.revision += 1;
        let encoded = self.encode(batch, names)?;
        self.life.cache.writing(encoded.changes.iter().map(|(key, _)| key));
        self.write(&encoded)?;
        encoded.line().end(self.revision, self.life.last_job(), false, &mut self.lines);
        changes.extend(encoded.changes);
        Ok(Applied::Done)
    }

    /// The documents that a batch is about, as they are without it.
    fn documents_of(&self, batch: &Batch) -> Result<HashMap<DocId, Document>, StoreError> {
        let expected = batch.expect.iter().map(|(id, _)| *id);
        let written = batch.put.iter().map(|document| document.id);
        let mut found = HashMap::new();
        for id in expected.chain(written).chain(batch.remove.iter().copied()) {
            if !found.contains_key(&id)
                && let Some(document) = self.trees.document(id)?
            {
                found.insert(id, document);
            }
        }
        Ok(found)
    }

    fn owner(&self, key: &DocumentKey) -> Result<Option<DocId>, StoreError> {
        self.trees.owner(&name_key(key))
    }

    fn encode(
        &mut self,
        batch: Batch,
        names: BTreeMap<DocumentKey, Option<DocId>>,
    ) -> Result<Encoded, StoreError> {
        let mut encoded = Encoded::default();
        for (key, document) in names {
            let record = document.map(|document| encode(&NameRecord { document })).transpose()?;
            encoded.names.push((name_key(&key), record));
            if document.is_none() {
                encoded.changes.push((key, None));
            }
        }
        encoded.documents.extend(batch.remove.into_iter().map(|id| (id.to_be_bytes(), None)));
        for mut document in batch.put {
            self.revision += 1;
            document.revision = self.revision;
            encoded.documents.push((document.id.to_be_bytes(), Some(encode(&document)?)));
            for key in &document.names {
                let mapping = Mapping { key: key.clone(), document: document.clone() };
                encoded.changes.push((key.clone(), Some(mapping)));
            }
        }
        encoded.jobs.extend(batch.remove_jobs.into_iter().map(|id| (job_key(id), None)));
        for job in &batch.put_jobs {
            encoded.jobs.push((job_key(job.id), Some(encode(job)?)));
        }
        Ok(encoded)
    }

    /// Writes to all trees at once: sled recovers such a transaction as a whole or not at all.
    fn write(&self, encoded: &Encoded) -> Result<(), WriteError> {
        #[cfg(test)]
        self.life.faults.at(Moment::Write).map_err(full)?;
        let Trees { documents, names, jobs, meta, .. } = &self.trees;
        let last_job = self.life.last_job();
        let trees = (documents, names, jobs, meta);
        let result = trees.transaction(|(documents, names, jobs, meta)| {
            write_all(documents, &encoded.documents)?;
            write_all(names, &encoded.names)?;
            write_all(jobs, &encoded.jobs)?;
            meta.insert(REVISION_KEY, &self.revision.to_be_bytes())?;
            meta.insert(LAST_JOB_KEY, &last_job.to_be_bytes())?;
            Ok::<(), ConflictableTransactionError<()>>(())
        });
        result.map_err(|error| match error {
            TransactionError::Storage(error) => of_sled("can't be written", &error),
            TransactionError::Abort(()) => full("the transaction was given up".to_owned()),
        })
    }

    /// `flush` alone covers the death of the process, the fsync covers that of the machine.
    pub(super) fn sync(&self) -> Result<(), WriteError> {
        #[cfg(test)]
        self.life.faults.at(Moment::Sync).map_err(lost)?;
        self.trees.db.flush().map_err(|error| of_sled("can't be flushed", &error))?;
        let synced = self.log.sync_data();
        synced.map_err(|error| lost(format!("its log can't be synced: {error}")))
    }

    /// Names that were given out but never written are not given out again after a clean end.
    pub(super) fn close(&self) -> Result<(), WriteError> {
        self.write(&Encoded::default())?;
        self.sync()
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(told) => full(told),
            error => Self::Refused(error),
        }
    }
}

fn of_sled(what: &str, error: &sled::Error) -> WriteError {
    match error {
        sled::Error::Io(error) => {
            let told = format!("it {what}: {error}");
            let kind = error.kind();
            // sled syncs as it writes, and a sync that fails is the only one to say what was lost.
            if matches!(kind, StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem) {
                full(told)
            } else {
                lost(told)
            }
        }
        error => WriteError::Broken(read_error(error)),
    }
}

fn full(told: String) -> WriteError {
    WriteError::Disk { told, lost: false }
}

fn lost(told: String) -> WriteError {
    WriteError::Disk { told, lost: true }
}

fn write_all<K: AsRef<[u8]>>(
    tree: &TransactionalTree,
    entries: &[(K, Option<Vec<u8>>)],
) -> Result<(), UnabortableTransactionError> {
    for (key, value) in entries {
        match value {
            Some(value) => tree.insert(key.as_ref(), value.as_slice())?,
            None => tree.remove(key.as_ref())?,
        };
    }
    Ok(())
}

/// A batch as the trees take it.
#[derive(Default)]
struct Encoded {
    documents: Vec<([u8; 16], Option<Vec<u8>>)>,
    names: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    jobs: Vec<([u8; 8], Option<Vec<u8>>)>,
    /// For the cache.
    changes: Changes,
}

impl Encoded {
    /// The same for the mirror. Names are in their documents.
    fn line(&self) -> LineText {
        let mut line = LineText::default();
        for (id, record) in &self.documents {
            match record {
                Some(record) => line.document(record),
                None => line.removed(id),
            }
        }
        for (id, record) in &self.jobs {
            match record {
                Some(record) => line.job(record),
                None => line.done(id),
            }
        }
        line
    }
}
