//! Which app document is which DWS document, and what is still to be told to DWS.
//!
//! A document has an id of its own; the app's ids are names that point at it, and jobs refer to it. All three
//! live in one store, so that a capture, a delivery or a delete changes them together or not at all. [`SledStore`] is the durable one; [`MemoryStore`] is for tests and for embedders who
//! bring their own durability.

#[cfg(feature = "store-sled")]
mod codec;
#[cfg(any(test, feature = "store-conformance"))]
pub mod conformance;
mod contract;
mod document;
mod doubt;
mod journal;
mod memory;
#[cfg(feature = "store-sled")]
mod migrate;
#[cfg(feature = "store-sled")]
mod mirror;
mod names;
mod provenance;
#[cfg(feature = "store-sled")]
pub(crate) mod rescue;
#[cfg(feature = "store-sled")]
mod scrub;
mod sent;
#[cfg(feature = "store-sled")]
mod sled_cache;
#[cfg(all(test, feature = "store-sled"))]
mod sled_faults;
#[cfg(feature = "store-sled")]
mod sled_life;
#[cfg(feature = "store-sled")]
mod sled_open;
#[cfg(feature = "store-sled")]
mod sled_place;
#[cfg(feature = "store-sled")]
mod sled_store;
#[cfg(feature = "store-sled")]
mod sled_thread;
#[cfg(feature = "store-sled")]
mod sled_trees;
#[cfg(feature = "store-sled")]
mod sled_writer;
#[cfg(feature = "store-sled")]
mod tally;
pub(crate) mod transfer;
mod validators;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(crate) use contract::find_job;
pub use contract::{Applied, Batch, BoxFuture, DocumentStore, StoreError};
pub use document::{DocId, Document, DocumentState, InvalidDocId, Mapping};
pub use doubt::{Doubt, Unconfirmed};
pub use journal::{Job, JobId, Progress, Task};
pub use memory::MemoryStore;
pub use names::{NameError, add_name, rename};
pub use provenance::{Provenance, Uploader};
pub use sent::Sent;
#[cfg(feature = "store-sled")]
pub use sled_store::SledStore;
pub use validators::Validators;
pub(crate) use validators::{Compared, Observed};

/// The store under `store.path`, which opens as soon as it can.
#[cfg(feature = "store-sled")]
pub(crate) fn start(folder: &Path) -> Result<Arc<dyn DocumentStore>, StoreError> {
    SledStore::start_at(sled_place::Place::below(folder)).map(|store| Arc::new(store) as _)
}

/// Without a store of its own, Transom forgets its documents with the process.
#[cfg(not(feature = "store-sled"))]
pub(crate) fn start(_: &Path) -> Result<Arc<dyn DocumentStore>, StoreError> {
    tracing::warn!(
        "documents are kept in memory alone and forgotten with this process: build with the feature \
         `store-sled`, or start with a store of your own (Transom::start_with)"
    );
    Ok(Arc::new(MemoryStore::new()))
}

/// Where sled lives under `store.path`.
#[cfg(feature = "store-sled")]
pub(crate) fn sled_path(store: &Path) -> PathBuf {
    store.join("sled")
}

/// Where captured bytes rest under `store.path`.
pub(crate) fn spool_path(store: &Path) -> PathBuf {
    store.join("spool")
}

/// Where fetched key sets are kept under `store.path`.
pub(crate) fn keys_path(store: &Path) -> PathBuf {
    store.join("keys")
}

/// Where what was learnt of backends is kept under `store.path`.
pub(crate) fn backend_path(store: &Path) -> PathBuf {
    store.join("backend")
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
