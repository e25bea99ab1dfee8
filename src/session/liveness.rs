//! Whether DWS still has a document, asked now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::backend::{Backend, BackendError};
use crate::cache::Recent;

/// Asks once where many ask the same, and remembers for a while what it was told.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    backend: Arc<dyn Backend>,
    there: Arc<Recent<String, Result<(), Arc<Doubt>>>>,
    lost: Arc<Recent<String, ()>>,
}

/// Why a document is not known to be there.
#[derive(Debug)]
enum Doubt {
    Lost,
    Unknown(BackendError),
}

impl Liveness {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let there = Arc::new(Recent::new(REMEMBERED, THERE));
        Self { backend, there, lost: Arc::new(Recent::new(REMEMBERED, LOST)) }
    }

    /// `true` only where that is certain. `suspected`: somebody has met with its absence, so that what
    /// was so a while ago does not count.
    pub(super) async fn is_lost(&self, document_id: &str, suspected: bool) -> bool {
        if self.lost.contains(document_id) {
            return true;
        }
        if suspected {
            self.there.remove(document_id);
        }
        let ask = self.there.once(document_id, async {
            match self.backend.has_lost(document_id).await {
                Ok(false) => Ok(()),
                Ok(true) => {
                    self.lost.insert(document_id.to_owned(), ());
                    Err(Arc::new(Doubt::Lost))
                }
                Err(error) => Err(Arc::new(Doubt::Unknown(error))),
            }
        });
        match timeout(AT_MOST, ask).await {
            Ok(Ok(())) | Err(_) => false,
            Ok(Err(doubt)) => match &*doubt {
                Doubt::Lost => true,
                Doubt::Unknown(error) => {
                    debug!(document_id, %error, "whether DWS has the document can't be known now");
                    false
                }
            },
        }
    }

    /// Whether a document that was lost can be had again: it was another key's, or DWS was mistaken.
    pub(super) async fn is_back(&self, document_id: &str) -> bool {
        if self.lost.contains(document_id) {
            return false;
        }
        let asked = timeout(AT_MOST, self.backend.has_lost(document_id)).await;
        match asked {
            Ok(Ok(false)) => true,
            _ => {
                self.lost.insert(document_id.to_owned(), ());
                false
            }
        }
    }
}

const THERE: Duration = Duration::from_secs(5 * 60);
const LOST: Duration = Duration::from_secs(30);
const REMEMBERED: u64 = 10_000;
/// A session that can be had does not wait longer for this.
const AT_MOST: Duration = Duration::from_secs(1);
