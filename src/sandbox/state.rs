//! What the sandbox knows, and the switches it is told by.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::SandboxOptions;
use super::documents::{self, Document, Storage};
use super::faults::FaultRule;
use super::journal::Journal;
use super::signer::Signer;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: SandboxOptions,
    /// Its own address with a trailing slash: the `server_url` of sessions.
    pub(super) origin: String,
    pub(super) signer: Signer,
    pub(super) storage: Storage,
    live: Mutex<Live>,
}

#[derive(Debug)]
pub(super) struct Live {
    /// Oldest first.
    pub(super) documents: Vec<Arc<Document>>,
    pub(super) counters: Counters,
    pub(super) quota: Quota,
    pub(super) quirks: Quirks,
    pub(super) faults: Vec<FaultRule>,
    pub(super) journal: Journal,
    /// Sessions with a lower number are revoked.
    pub(super) revoked_below: u64,
}

/// What counts against a plan. Deleting gives nothing of it back.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) uploads: u64,
    pub(super) sessions: u64,
    pub(super) tokens: u64,
    pub(super) deletes: u64,
}

/// The plan; `None`: no limit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quota {
    /// Documents stored at one time.
    pub(crate) documents: Option<u64>,
    pub(crate) uploads: Option<u64>,
    pub(crate) sessions: Option<u64>,
    /// How a used-up plan is answered: which status DWS gives isn't known.
    pub(crate) status: u16,
}

/// Ways in which the service was seen, or is feared, to differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quirks {
    /// 406 unless `Accept` names JSON.
    pub(crate) strict_accept: bool,
    /// 411 for uploads without `Content-Length`.
    pub(crate) refuse_chunked: bool,
    /// The status of a stored upload (200 or 201).
    pub(crate) upload_status: u16,
    /// `document_id` at the top instead of in `data`.
    pub(crate) flat_upload: bool,
    /// Take the caller's `document_id`.
    pub(crate) honour_document_id: bool,
    /// Let `document_permissions` count when `permissions` is missing.
    pub(crate) honour_document_permissions: bool,
    /// No session lasts longer than 24 hours.
    pub(crate) clamp_expiry: bool,
    /// Sessions: origins that may use them; empty: all.
    pub(crate) allowed_origins: Vec<String>,
    /// Sessions grant everything, whatever was asked.
    pub(crate) grant_all: bool,
    /// Sessions are for this document, whichever was asked.
    pub(crate) grant_document: Option<String>,
    /// Sessions are for this document too.
    pub(crate) grant_extra_document: Option<String>,
    /// Sessions last this many seconds longer than asked.
    pub(crate) grant_longer: u64,
    /// Sessions don't say what they permit.
    pub(crate) omit_permissions: bool,
}

impl Shared {
    pub(super) async fn load(options: SandboxOptions, address: SocketAddr) -> io::Result<Self> {
        let storage = Storage::open(options.data.as_deref(), options.keep_content).await?;
        let (documents, counters) = documents::load(&storage).await?;
        // Takes a tenth of a second of CPU, which other tasks of the runtime shouldn't wait for.
        let signer = tokio::task::spawn_blocking(Signer::generate).await??;
        let live = Live {
            documents,
            counters,
            quota: options.quota,
            quirks: options.quirks.clone(),
            faults: Vec::new(),
            journal: Journal::default(),
            revoked_below: 0,
        };
        let origin = match &options.public_url {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("http://{address}/"),
        };
        Ok(Self { options, origin, signer, storage, live: Mutex::new(live) })
    }

    /// The lock must not be held across an await.
    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn document(&self, id: &str) -> Option<Arc<Document>> {
        self.live().documents.iter().find(|document| document.id == id).cloned()
    }

    pub(super) fn quirks(&self) -> Quirks {
        self.live().quirks.clone()
    }
}

impl Live {
    /// Which part of the plan an upload would exceed.
    pub(super) fn upload_over_quota(&self) -> Option<&'static str> {
        let over = |used, limit: Option<u64>| limit.is_some_and(|limit| used >= limit);
        if over(self.documents.len() as u64, self.quota.documents) {
            Some("document limit")
        } else if over(self.counters.uploads, self.quota.uploads) {
            Some("monthly upload limit")
        } else {
            None
        }
    }

    pub(super) fn session_over_quota(&self) -> bool {
        self.quota.sessions.is_some_and(|limit| self.counters.sessions >= limit)
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self { documents: None, uploads: None, sessions: None, status: 402 }
    }
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            strict_accept: true,
            refuse_chunked: false,
            upload_status: 200,
            flat_upload: false,
            honour_document_id: false,
            honour_document_permissions: false,
            clamp_expiry: false,
            allowed_origins: Vec::new(),
            grant_all: false,
            grant_document: None,
            grant_extra_document: None,
            grant_longer: 0,
            omit_permissions: false,
        }
    }
}
