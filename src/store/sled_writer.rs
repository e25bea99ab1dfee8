//! The one thread that writes: what waits is applied, made durable together, then answered.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use tokio::sync::{mpsc, oneshot};

use super::codec::{decode, document_key, encode, job_key};
use super::sled_cache::MappingCache;
use super::sled_open::{LAST_JOB_KEY, Opened, REVISION_KEY, Trees, read_error};
use super::{Applied, Batch, Mapping, StoreError};
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
        for (key, expected) in &batch.expect {
            if self.revision_of(key)? != *expected {
                return Ok(Applied::Conflict);
            }
        }
        let encoded = self.encode(batch)?;
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

    fn revision_of(&self, key: &DocumentKey) -> Result<Option<u64>, StoreError> {
        let bytes = self.trees.mappings.get(document_key(key)).map_err(|e| read_error(&e))?;
        let mapping = bytes.map(|bytes| decode::<Mapping>("mapping", &bytes)).transpose()?;
        Ok(mapping.map(|mapping| mapping.revision))
    }

    fn encode(&mut self, batch: Batch) -> Result<Encoded, StoreError> {
        let mut encoded = Encoded::default();
        for key in batch.remove {
            encoded.mappings.push((document_key(&key), None));
            encoded.changes.push((key, None));
        }
        for mut mapping in batch.put {
            self.revision += 1;
            mapping.revision = self.revision;
            encoded.mappings.push((document_key(&mapping.key), Some(encode(&mapping)?)));
            encoded.changes.push((mapping.key.clone(), Some(mapping)));
        }
        encoded.jobs.extend(batch.remove_jobs.into_iter().map(|id| (job_key(id), None)));
        for job in &batch.put_jobs {
            encoded.jobs.push((job_key(job.id), Some(encode(job)?)));
        }
        Ok(encoded)
    }

    /// Writes to all trees at once: sled recovers such a transaction as a whole or not at all.
    fn write(&self, encoded: &Encoded) -> Result<(), String> {
        let Trees { mappings, jobs, meta, .. } = &self.trees;
        let last_job = self.last_job.load(Ordering::Relaxed);
        let result = (mappings, jobs, meta).transaction(|(mappings, jobs, meta)| {
            for (key, value) in &encoded.mappings {
                match value {
                    Some(value) => mappings.insert(key.as_slice(), value.as_slice())?,
                    None => mappings.remove(key.as_slice())?,
                };
            }
            for (key, value) in &encoded.jobs {
                match value {
                    Some(value) => jobs.insert(key, value.as_slice())?,
                    None => jobs.remove(key)?,
                };
            }
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

/// A batch as the trees take it.
#[derive(Default)]
struct Encoded {
    mappings: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    jobs: Vec<([u8; 8], Option<Vec<u8>>)>,
    changes: Vec<(DocumentKey, Option<Mapping>)>,
}

/// Batches that share one flush and fsync.
const MAX_GROUP: usize = 256;
