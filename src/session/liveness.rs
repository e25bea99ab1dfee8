//! Whether DWS still has a document, asked now and then.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::time::timeout;
use tracing::debug;

use crate::backend::{Backend, BackendError};

/// Asks once where many ask the same, and remembers for a while what it was told.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    backend: Arc<dyn Backend>,
    there: Cache<String, ()>,
    lost: Cache<String, ()>,
}

/// Why a document is not known to be there.
enum Doubt {
    Lost,
    Unknown(BackendError),
}

impl Liveness {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let cache = |life| Cache::builder().max_capacity(REMEMBERED).time_to_live(life).build();
        Self { backend, there: cache(THERE), lost: cache(LOST) }
    }

    /// `true` only where that is certain. `suspected`: somebody has met with its absence, so that what
    /// was so a while ago does not count.
    pub(super) async fn is_lost(&self, document_id: &str, suspected: bool) -> bool {
        if self.lost.contains_key(document_id) {
            return true;
        }
        if suspected {
            self.there.invalidate(document_id).await;
        }
        let ask = self.there.try_get_with_by_ref(document_id, async {
            match self.backend.has_lost(document_id).await {
                Ok(false) => Ok(()),
                Ok(true) => {
                    self.lost.insert(document_id.to_owned(), ()).await;
                    Err(Doubt::Lost)
                }
                Err(error) => Err(Doubt::Unknown(error)),
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
        if self.lost.contains_key(document_id) {
            return false;
        }
        let asked = timeout(AT_MOST, self.backend.has_lost(document_id)).await;
        match asked {
            Ok(Ok(false)) => true,
            _ => {
                self.lost.insert(document_id.to_owned(), ()).await;
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
