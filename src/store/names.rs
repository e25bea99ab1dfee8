//! Changes of the names that point at a document.
//!
//! The last name goes with its document, which is the outbox's to do, as DWS has to be told.

use std::collections::BTreeMap;

use super::{Applied, Batch, DocId, Document, DocumentStore, StoreError};
use crate::document::DocumentKey;

/// Lets `name` point at the document of `known`, too. Nothing happens if it does already.
///
/// # Errors
/// See [`NameError`].
pub async fn add_name(
    store: &dyn DocumentStore,
    known: &DocumentKey,
    name: &DocumentKey,
) -> Result<(), NameError> {
    change(store, known, name, |names| {
        if names.contains(name) {
            return Ok(());
        }
        if names.len() >= MAX_NAMES {
            return Err(NameError::TooMany(known.clone()));
        }
        names.push(name.clone());
        Ok(())
    })
    .await
}

/// The app calls the document of `from` by the name `to` from now on. An upload that is under way goes on.
///
/// # Errors
/// See [`NameError`].
pub async fn rename(
    store: &dyn DocumentStore,
    from: &DocumentKey,
    to: &DocumentKey,
) -> Result<(), NameError> {
    change(store, from, to, |names| {
        // Should it have both names, the new one takes the place of the old.
        names.retain(|name| name != to || to == from);
        names.iter_mut().filter(|name| *name == from).for_each(|name| *name = to.clone());
        Ok(())
    })
    .await
}

async fn change(
    store: &dyn DocumentStore,
    known: &DocumentKey,
    name: &DocumentKey,
    mut change: impl FnMut(&mut Vec<DocumentKey>) -> Result<(), NameError>,
) -> Result<(), NameError> {
    for _ in 0..MAX_CONFLICTS {
        let Some(mapping) = store.get(known).await? else {
            return Err(NameError::Unknown(known.clone()));
        };
        if store.get(name).await?.is_some_and(|other| other.id != mapping.id) {
            return Err(NameError::Taken(name.clone()));
        }
        let mut document = mapping.document.clone();
        change(&mut document.names)?;
        if document.names == mapping.names {
            return Ok(());
        }
        let expect = vec![(document.id, Some(document.revision))];
        let batch = Batch { expect, put: vec![document], ..Batch::default() };
        if store.apply(batch).await? == Applied::Done {
            return Ok(());
        }
    }
    Err(NameError::Contended(known.clone()))
}

/// Why a document has the names that it had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No document has this name.
    #[error("Transom knows no document by the name {0}")]
    Unknown(DocumentKey),
    /// The new name belongs to another document.
    #[error("the name {0} belongs to another document")]
    Taken(DocumentKey),
    /// The document of this name has as many as one may have.
    #[error("the document {0} has {MAX_NAMES} names, which is the most that one may have")]
    TooMany(DocumentKey),
    /// The document of this name kept changing meanwhile.
    #[error("the document {0} kept changing meanwhile; try again")]
    Contended(DocumentKey),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a batch does to names: each that changes, and the document that it points at then. `None` if two
/// documents would share one.
///
/// `before` finds a document, `owner` that of a name, both as they are without the batch.
pub(super) fn changes<'a>(
    batch: &Batch,
    before: impl Fn(DocId) -> Option<&'a Document>,
    owner: impl Fn(&DocumentKey) -> Result<Option<DocId>, StoreError>,
) -> Result<Option<BTreeMap<DocumentKey, Option<DocId>>>, StoreError> {
    let mut after: BTreeMap<DocumentKey, Option<DocId>> = BTreeMap::new();
    let touched = batch.remove.iter().copied().chain(batch.put.iter().map(|put| put.id));
    for document in touched.filter_map(before) {
        after.extend(document.names.iter().map(|name| (name.clone(), None)));
    }
    for document in &batch.put {
        for name in &document.names {
            let pointed = match after.get(name) {
                Some(pointed) => *pointed,
                None => owner(name)?,
            };
            if pointed.is_some_and(|id| id != document.id) {
                return Ok(None);
            }
            after.insert(name.clone(), Some(document.id));
        }
    }
    Ok(Some(after))
}

/// A document is one small record.
pub(super) const MAX_NAMES: usize = 64;
const MAX_CONFLICTS: usize = 8;
