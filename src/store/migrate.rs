//! Format 1 becomes format 3 when the store is opened.
//!
//! Format 1 had one tree of mappings, each the record of one app id. Since format 2 there are documents, names that point
//! at them, and jobs that refer to documents. The new trees are filled beside the old one; the old one counts until the
//! format says otherwise, so that a kill leaves either.

use std::fs::File;

use serde_json::Value;
use sled::{Batch, IVec, Tree};

use super::codec::{decode, encode, name_key};
use super::sled_open::{FORMAT, FORMAT_KEY, read_error};
use super::sled_trees::{NameRecord, Trees};
use super::{DocId, Document, Job, StoreError};
use crate::document::DocumentKey;

/// `step` is called whenever something has been written.
pub(super) fn run(trees: &Trees, log: &File, step: &mut dyn FnMut()) -> Result<(), StoreError> {
    // What an earlier migration left that was cut off.
    for tree in [&trees.documents, &trees.names] {
        tree.clear().map_err(|error| read_error(&error))?;
    }
    let documents = copy_documents(trees, step)?;
    let jobs = link_jobs(trees, step)?;
    sync(trees, log)?;
    step();
    trees.meta.insert(FORMAT_KEY, FORMAT).map_err(|error| read_error(&error))?;
    sync(trees, log)?;
    step();
    tracing::info!(documents, jobs, "the store has format 3 now");
    tidy(trees)
}

/// The old tree, once the new ones count.
pub(super) fn tidy(trees: &Trees) -> Result<(), StoreError> {
    let dropped = trees.db.drop_tree(MAPPINGS).map_err(|error| read_error(&error))?;
    if dropped {
        tracing::info!("the store's records of format 1 are gone");
    }
    Ok(())
}

fn copy_documents(trees: &Trees, step: &mut dyn FnMut()) -> Result<u64, StoreError> {
    let mappings = trees.db.open_tree(MAPPINGS).map_err(|error| read_error(&error))?;
    in_pages(&mappings, step, |page| {
        let (mut documents, mut names) = (Batch::default(), Batch::default());
        for (name, record) in page {
            let id = DocId::random();
            documents.insert(&id.to_be_bytes(), document(id, record)?);
            names.insert(name, encode(&NameRecord { document: id })?);
        }
        let written = trees.documents.apply_batch(documents);
        written.and_then(|()| trees.names.apply_batch(names)).map_err(|error| read_error(&error))
    })
}

/// In place: to format 1, `document` is a field that it does not know.
fn link_jobs(trees: &Trees, step: &mut dyn FnMut()) -> Result<u64, StoreError> {
    in_pages(&trees.jobs, step, |page| {
        let mut jobs = Batch::default();
        for (id, record) in page {
            jobs.insert(id, job(trees, record)?);
        }
        trees.jobs.apply_batch(jobs).map_err(|error| read_error(&error))
    })
}

/// The record of a document with one name. One that can't be read stays as it is: what is asked for it says so then, as
/// it did before, and the others are none the worse.
fn document(id: DocId, record: &IVec) -> Result<Vec<u8>, StoreError> {
    let read = || -> Option<Document> {
        let mut fields: Value = decode("mapping", record).ok()?;
        let fields_of = fields.as_object_mut()?;
        let name = fields_of.remove("key")?;
        if let Some(host) = name.get("host").cloned() {
            fields_of.insert("tenant".to_owned(), host);
        }
        fields_of.insert("id".to_owned(), id.to_string().into());
        fields_of.insert("names".to_owned(), Value::Array(vec![name]));
        serde_json::from_value(fields).ok()
    };
    read().map_or_else(|| Ok(record.to_vec()), |document| encode(&document))
}

/// A job refers to the document that has its name. Where there is none, it is the last that knew it.
fn job(trees: &Trees, record: &IVec) -> Result<Vec<u8>, StoreError> {
    let read = || -> Option<Value> {
        let fields: Value = decode("job", record).ok()?;
        fields.is_object().then_some(fields)
    };
    let Some(mut fields) = read() else { return Ok(record.to_vec()) };
    let key = fields.pointer("/task/key").cloned().unwrap_or_default();
    let owner = match serde_json::from_value::<DocumentKey>(key) {
        Ok(key) => trees.owner(&name_key(&key))?,
        Err(_) => None,
    };
    fields["document"] = owner.unwrap_or_else(DocId::random).to_string().into();
    let job: Option<Job> = serde_json::from_value(fields).ok();
    job.map_or_else(|| Ok(record.to_vec()), |job| encode(&job))
}

/// Goes through a tree without holding all of it. Returns how many records there were.
fn in_pages(
    tree: &Tree,
    step: &mut dyn FnMut(),
    mut write: impl FnMut(&[(IVec, IVec)]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let (mut count, mut start) = (0, Vec::new());
    loop {
        let page = tree.range(start..).take(PAGE).collect::<sled::Result<Vec<_>>>();
        let page = page.map_err(|error| read_error(&error))?;
        let Some((last, _)) = page.last() else { return Ok(count) };
        write(&page)?;
        count += page.len() as u64;
        start = last.to_vec();
        start.push(0);
        step();
    }
}

/// As the store does after each group of writes.
fn sync(trees: &Trees, log: &File) -> Result<(), StoreError> {
    trees.db.flush().map_err(|error| read_error(&error))?;
    log.sync_data()
        .map_err(|error| StoreError::Io(format!("the store's log can't be synced: {error}")))
}

pub(super) const FORMER: &[u8] = b"1";
const MAPPINGS: &str = "mappings";
/// Records that are converted at a time.
const PAGE: usize = if cfg!(test) { 4 } else { 1000 };

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "migrate_tests.rs"]
mod tests;
