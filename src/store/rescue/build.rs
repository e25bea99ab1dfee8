//! Writes a new store from records.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;

use sled::Batch;

use super::state::State;
use super::{Counted, failed};
use crate::private;
use crate::store::codec::{encode, job_key, name_key};
use crate::store::sled_open::{FORMAT, FORMAT_KEY, LAST_JOB_KEY, REVISION_KEY};
use crate::store::sled_trees::{NameRecord, Trees};
use crate::store::{Document, Job, Progress, StoreError};

/// What became of the records.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) counted: Counted,
    /// Records that were left out, in words.
    pub(super) left_out: Vec<String>,
}

/// `unclear`: how far jobs are is not known for sure, so that each upload counts as one that was being sent.
pub(super) fn build(folder: &Path, state: &State, unclear: bool) -> Result<Built, StoreError> {
    let written = |error: sled::Error| failed(folder, "can't be written", error);
    private::folder(folder).map_err(|error| failed(folder, "can't be made", error))?;
    let db = sled::Config::new().path(folder).flush_every_ms(None).open().map_err(written)?;
    let trees = Trees::open(db).map_err(written)?;
    let built = fill(&trees, state, unclear).map_err(|error| match error {
        Filling::Sled(error) => written(error),
        Filling::Store(error) => error,
    })?;
    let meta = &trees.meta;
    meta.insert(REVISION_KEY, &state.revision.to_be_bytes()).map_err(written)?;
    meta.insert(LAST_JOB_KEY, &state.last_job.to_be_bytes()).map_err(written)?;
    meta.insert(FORMAT_KEY, FORMAT).map_err(written)?;
    trees.db.flush().map_err(written)?;
    drop(trees);
    private::content(folder);
    sync(folder).map_err(|error| failed(folder, "can't be made durable", error))?;
    Ok(built)
}

enum Filling {
    Sled(sled::Error),
    Store(StoreError),
}

impl From<sled::Error> for Filling {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<StoreError> for Filling {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn fill(trees: &Trees, state: &State, unclear: bool) -> Result<Built, Filling> {
    let mut built = Built::default();
    // Should two documents have one name, it is the one's that was written last.
    let mut newest: Vec<_> = state.documents.iter().collect();
    newest.sort_by_key(|(_, (revision, _))| std::cmp::Reverse(*revision));
    let mut taken = HashSet::new();
    for page in newest.chunks(PAGE) {
        let (mut documents, mut names) = (Batch::default(), Batch::default());
        for (id, (_, text)) in page {
            let Ok(mut document) = serde_json::from_str::<Document>(text) else {
                built.left_out.push(format!("document {id}: its record can't be read"));
                continue;
            };
            document.names.retain(|name| taken.insert(name_key(name)));
            for name in &document.names {
                names.insert(name_key(name), encode(&NameRecord { document: document.id })?);
            }
            if document.names.is_empty() {
                built.left_out.push(format!("document {id}: others have its names"));
                continue;
            }
            documents.insert(&document.id.to_be_bytes(), encode(&document)?);
            built.counted.documents += 1;
        }
        trees.documents.apply_batch(documents)?;
        trees.names.apply_batch(names)?;
    }
    let mut jobs = Batch::default();
    for (id, text) in &state.jobs {
        let Ok(mut job) = serde_json::from_str::<Job>(text) else {
            built.left_out.push(format!("job {}: its record can't be read", id.0));
            continue;
        };
        if unclear && matches!(job.progress, Progress::Due { .. }) && job.spool().is_some() {
            job.progress = Progress::Sending;
        }
        jobs.insert(&job_key(job.id), encode(&job)?);
        built.counted.jobs += 1;
        built.counted.files += usize::from(job.spool().is_some());
    }
    trees.jobs.apply_batch(jobs)?;
    Ok(built)
}

fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_name(folder)
}

/// Makes a folder, and its name, survive power loss.
pub(super) fn sync_name(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    for folder in [Some(path), path.parent()].into_iter().flatten() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

const PAGE: usize = 1000;
