//! The one thread that writes: what waits is applied, made durable together, then answered.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sled::Transactional;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, TransactionalTree, UnabortableTransactionError,
};
use tokio::sync::{mpsc, oneshot};

use super::codec::{encode, job_key, name_key};
use super::sled_cache::MappingCache;
use super::sled_open::{LAST_JOB_KEY, Opened, REVISION_KEY};
use super::sled_trees::{NameRecord, Trees};
use super::{Applied, Batch, DocId, Document, Mapping, StoreError, names};
use crate::document::DocumentKey;

/// A batch, and who waits for it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Applied, StoreError>>,
}

/// The first failure of the writer, once there was one.
pub(super) type Failed = Arc<OnceLock<String>>;

pub(super) struct Writer {
    trees: Trees,
    log: File,
    cache: Arc<MappingCache>,
    last_job: Arc<AtomicU64>,
    revision: u64,
    /// Set by the first failure: what is durable is unknown from then on, so nothing more is
    /// written.
    failed: Failed,
}

impl Writer {
    pub(super) fn new(
        opened: Opened,
        cache: Arc<MappingCache>,
        last_job: Arc<AtomicU64>,
        failed: Failed,
    ) -> Self {
        let Opened { trees, log, counters } = opened;
        Self { trees, log, cache, last_job, revision: counters.revision, failed }
    }

    /// Serves writes until every sender is gone.
    pub(super) fn run(mut self, mut writes: mpsc::Receiver<Write>) {
        while let Some(first) = writes.blocking_recv() {
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(next) = writes.try_recv()
            {
                group.push(next);
            }
            self.commit(group);
        }
        self.close();
    }

    fn commit(&mut self, group: Vec<Write>) {
        let mut answers = Vec::with_capacity(group.len());
        let mut changes = Vec::new();
        for Write { batch, reply } in group {
            // Who gave up waiting before the batch was begun takes it for not written.
            if !reply.is_closed() {
                let result = self.apply(batch, &mut changes);
                answers.push((reply, result));
            }
        }
        if answers.iter().any(|(_, result)| matches!(result, Ok(Applied::Done)))
            && let Err(error) = self.sync()
        {
            self.fail(&error);
            for (_, result) in &mut answers {
                *result = Err(StoreError::Io(error.clone()));
            }
        }
        self.cache.written(changes);
        for (reply, result) in answers {
            // Nobody may be waiting any more; the batch is written all the same.
            let _ = reply.send(result);
        }
    }

    fn apply(
        &mut self,
        batch: Batch,
        changes: &mut Vec<(DocumentKey, Option<Mapping>)>,
    ) -> Result<Applied, StoreError> {
        if let Some(error) = self.failed.get() {
            return Err(StoreError::Stopped(format!(
                "the store stopped after a failure ({error}); see to the disk and restart"
            )));
        }
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
        let encoded = self.encode(batch, names)?;
        self.cache.writing(encoded.changes.iter().map(|(key, _)| key));
        let written = self.write(&encoded);
        changes.extend(encoded.changes);
        match written {
            Ok(()) => Ok(Applied::Done),
            Err(error) => {
                self.fail(&error);
                Err(StoreError::Io(format!("the store can't be written: {error}")))
            }
        }
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
    fn write(&self, encoded: &Encoded) -> Result<(), String> {
        let Trees { documents, names, jobs, meta, .. } = &self.trees;
        let last_job = self.last_job.load(Ordering::Relaxed);
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
            TransactionError::Storage(error) => error.to_string(),
            TransactionError::Abort(()) => "the transaction was given up".to_owned(),
        })
    }

    /// `flush` alone covers the death of the process, the fsync covers that of the machine.
    fn sync(&self) -> Result<(), String> {
        self.trees.db.flush().map_err(|error| format!("the store can't be flushed: {error}"))?;
        self.log.sync_data().map_err(|error| format!("the store's log can't be synced: {error}"))
    }

    fn fail(&mut self, error: &str) {
        tracing::error!(
            reason = "store_unavailable",
            error,
            "the store failed and takes no more writes"
        );
        self.failed.get_or_init(|| error.to_owned());
    }

    /// Names that were given out but never written are not given out again after a clean end.
    fn close(self) {
        if self.failed.get().is_none()
            && let Err(error) = self.write(&Encoded::default()).and_then(|()| self.sync())
        {
            tracing::warn!(
                error,
                "the store could not be closed cleanly; nothing acknowledged is lost"
            );
        }
    }
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
    changes: Vec<(DocumentKey, Option<Mapping>)>,
}

/// Batches that share one flush and fsync.
const MAX_GROUP: usize = 256;
