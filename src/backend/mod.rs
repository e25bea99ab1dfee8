//! The services that store documents for viewing and mint sessions.
//!
//! The rest of the crate knows [`Backend`] alone. Another one is a folder here, a line in [`BACKENDS`] and its
//! section of the configuration.

mod capabilities;
mod current;
mod dws;
mod error;
mod title;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::debug;

pub(crate) use self::capabilities::{Capabilities, Honours};
pub(crate) use self::current::Current;
pub(crate) use self::error::{BackendError, BackendErrorKind};
pub(crate) use self::title::shown_title;
use crate::config::BackendConfig;
pub(crate) use crate::session_token::{Permissions, SessionToken};
use crate::telemetry::Metrics;

/// A service that stores documents for viewing and mints sessions.
///
/// Each call is one attempt: who calls decides whether it is repeated.
pub(crate) trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Its section of the configuration, its name in `/readyz` and its label in metrics.
    fn name(&self) -> &'static str;

    /// What can be relied on.
    fn capabilities(&self) -> Capabilities;

    /// Whose documents these are: address and key, as a fingerprint that tells neither.
    fn account(&self) -> &str;

    /// How long what takes.
    fn times(&self) -> Times;

    /// Stores a file; the id that the backend gave it, which is the one that was asked for only where ids are honoured.
    ///
    /// # Errors
    /// [`BackendErrorKind::Unclear`] where the document may be stored all the same.
    fn upload<'a>(&'a self, upload: Upload<'a>) -> BoxFuture<'a, Result<String, BackendError>>;

    /// What the backend says of a document; `None` if it has none of this id, or does not answer such questions.
    ///
    /// # Errors
    /// It can't be known now.
    fn properties<'a>(
        &'a self,
        document_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Properties>, BackendError>>;

    /// A page of all documents, the newest first; `cursor` is the `next` of the page before.
    ///
    /// # Errors
    /// [`BackendErrorKind::Forbidden`] where the key has no right to it.
    fn list<'a>(&'a self, cursor: Option<&'a str>) -> BoxFuture<'a, Result<Listed, BackendError>>;

    /// Removes a document; one that is gone already is fine.
    ///
    /// # Errors
    /// Any of them leaves the document in place, or in doubt: the removal can be repeated.
    fn remove<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Mints a session and reads back what it grants, which is never more than was asked for.
    ///
    /// A session does not prove that the document exists.
    ///
    /// # Errors
    /// [`BackendErrorKind::TooWide`] and [`BackendErrorKind::Unreadable`] for sessions that are thrown away.
    fn session<'a>(
        &'a self,
        request: SessionRequest<'a>,
    ) -> BoxFuture<'a, Result<SessionToken, BackendError>>;

    /// Whether a document that was once stored is certainly gone.
    ///
    /// # Errors
    /// It can't be known now.
    fn has_lost<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// Whether address and key are right.
    ///
    /// # Errors
    /// The detail is a sentence for the operator that tells wrong key, wrong product and unreachable apart.
    fn check(&self) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Where the viewers of its sessions connect to; empty before the first session.
    fn data_planes(&self) -> Arc<Vec<String>>;
}

/// The backend that the configuration names. What it learns of the service outlives the process in `folder`.
///
/// # Errors
/// A sentence for the operator: an address or a key that can't be used.
pub(crate) fn connect(
    config: &BackendConfig,
    metrics: Arc<Metrics>,
    folder: Option<&Path>,
) -> Result<Arc<dyn Backend>, String> {
    let (_, connect) = BACKENDS
        .iter()
        .find(|(name, _)| *name == config.name)
        .ok_or_else(|| format!("there is no backend `{}`", config.name))?;
    let backend = connect(config, metrics, folder)?;
    debug!(backend = backend.name(), can = %backend.capabilities(), "where documents go");
    Ok(backend)
}

type Connect = fn(&BackendConfig, Arc<Metrics>, Option<&Path>) -> Result<Arc<dyn Backend>, String>;

/// One line for each backend, by its section of the configuration.
const BACKENDS: &[(&str, Connect)] = &[(dws::NAME, dws::connect)];

/// How long what takes at a backend, as the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// An upload that makes no progress for so long is given up.
    pub(crate) upload_idle: Duration,
    /// The bytes of refused documents are kept for so long.
    pub(crate) refused_keep: Duration,
}

/// A file to be stored.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) path: &'a Path,
    /// The id that it should have.
    pub(crate) document_id: Option<&'a str>,
    pub(crate) title: Option<&'a str>,
    pub(crate) content_type: &'a str,
    pub(crate) size: u64,
    /// Of the captured bytes, in hex; empty: not known.
    pub(crate) sha256: &'a str,
}

/// What a backend says of one of its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) title: Option<String>,
    /// Of the PDF that it shows, in lower-case hex: for other types not that of the uploaded bytes.
    pub(crate) sha256: Option<String>,
    /// Bytes.
    pub(crate) size: Option<u64>,
}

/// A page of documents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) documents: Vec<ListedDocument>,
    /// Where the next page begins; `None` at the end.
    pub(crate) next: Option<String>,
    /// How many documents there are in all.
    pub(crate) count: Option<u64>,
    /// The time there, in Unix milliseconds.
    pub(crate) now: Option<u64>,
}

/// A document on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedDocument {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    /// By the backend's clock, in Unix milliseconds.
    pub(crate) created_at: Option<u64>,
}

/// A session to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct SessionRequest<'a> {
    pub(crate) document_id: &'a str,
    pub(crate) permissions: Permissions,
    /// Unix seconds.
    pub(crate) expires: u64,
    pub(crate) user_id: Option<&'a str>,
}
