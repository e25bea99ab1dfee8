use tracing::{debug, info, warn};

use super::{Event, Listener, Origin};
use crate::reason::{Reason, Step};

/// The words and the level of each event.
pub(super) struct Logging;

impl Listener for Logging {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        let request_id = || origin.request_id();
        match *event {
            Event::Captured { document, bytes, rule, reason: code } => {
                info!(%code, %document, bytes, rule, request_id = request_id(), "captured");
            }
            Event::FileRefused { document, rule, reason: code } => {
                info!(%code, %document, rule, request_id = request_id(), "not captured");
            }
            Event::Confirmed { document, reason: code } => {
                info!(%code, %document, request_id = request_id(), "captured: the app has it");
            }
            Event::Refuted { step, document } => {
                let (code, request_id) = (Reason::NotAccepted, request_id());
                match step {
                    Step::Delete => {
                        info!(%code, %document, request_id, "not deleted: the app does not say that it is gone");
                    }
                    _ => {
                        info!(%code, %document, request_id, "nothing captured: the app does not have it");
                    }
                }
            }
            Event::NotCaptured { reason: code, path, status, doubtful, is_expected, .. } => {
                if is_expected {
                    debug!(%code, path, request_id = request_id(), status, doubtful, "nothing captured");
                } else {
                    warn!(%code, path, request_id = request_id(), status, doubtful, "nothing captured");
                }
            }
            Event::Deleted { document, forgotten } => {
                let code = Reason::Deleted;
                info!(%code, %document, forgotten, request_id = request_id(), "deleted by the app");
            }
            Event::InDoubt { documents, status } => {
                for document in documents {
                    info!(
                        code = %Reason::InDoubt, %document, status, request_id = request_id(),
                        "a request that no rule follows may have changed a document"
                    );
                }
            }
            Event::PassedOn { reason: code, path } => debug!(%code, path, "passed on"),
            Event::SessionDecided { document, reason: code } => {
                let document = document.map(tracing::field::display);
                match code {
                    Reason::SessionGiven => {
                        debug!(%code, document, request_id = request_id(), "session given");
                    }
                    _ => info!(%code, document, request_id = request_id(), "no session"),
                }
            }
            Event::Fetched { document, reason: code } => match code {
                Reason::Captured => info!(%code, %document, "fetched from the app"),
                Reason::Unchanged => {
                    info!(%code, %document, "the app has the bytes that are known");
                }
                Reason::DocumentPending | Reason::Superseded => {
                    info!(%code, %document, "what was fetched is not needed any more");
                }
                _ => warn!(%code, %document, "the app's source gave no document"),
            },
            // Told by what comes of them.
            Event::Journalled { .. } | Event::AwaitsLook { .. } | Event::NotAddressed { .. } => {}
        }
    }
}
