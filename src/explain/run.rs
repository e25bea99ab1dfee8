//! One request through the lanes, for its trail alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt};

use super::pretend::stand_in;
use super::read_only::Store;
use crate::auth::{Assumed, Caller, Refusal};
use crate::config::Config;
use crate::document::DocumentKey;
use crate::engine::{Engine, Transom};
use crate::layer::TransomLayer;
use crate::store::{self, DocumentState, DocumentStore, JobId, Provenance, now_ms};
use crate::trail::{Explanation, Trail};

/// A request, and what is to be assumed about the rest of the world.
pub(crate) struct Case {
    /// Without a body.
    pub(crate) request: Request<()>,
    /// Taken for the truth, instead of looking for a token.
    pub(crate) caller: Option<Result<Caller, Refusal>>,
    /// The app's answer to whatever it is asked.
    pub(crate) app: StatusCode,
    pub(crate) document: Document,
}

/// What is known of documents.
pub(crate) enum Document {
    /// What the store says.
    #[cfg(feature = "cli")]
    Known,
    /// Each is as this one, or unknown.
    Assumed(Option<Box<store::Document>>),
}

/// An engine of which only decisions are asked. Nothing is sent, minted or written; keys at URLs are fetched.
pub(crate) struct Explainer {
    transom: Transom,
    store: Arc<Store>,
    /// A spool that nothing is spooled to.
    _scratch: Scratch,
}

impl Explainer {
    /// With the documents of `store`, or with none but the assumed ones. Without `tokens`, each case says who
    /// asks.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) async fn start(
        config: Config,
        store: Option<Arc<dyn DocumentStore>>,
        tokens: bool,
    ) -> Result<Self, String> {
        let store = store.map_or_else(|| Store::Assumed(Mutex::default()), Store::Read);
        let (store, scratch) = (Arc::new(store), Scratch::new());
        let transom = Transom::start_apart(config, store.clone(), &scratch.0, tokens).await;
        let transom = transom.map_err(|error| error.to_string())?;
        Ok(Self { transom, store, _scratch: scratch })
    }

    pub(crate) async fn explain(&self, case: Case) -> Explanation {
        let Case { request, caller, app, document } = case;
        if let (Store::Assumed(all), Document::Assumed(one)) = (&*self.store, document) {
            *all.lock().unwrap_or_else(PoisonError::into_inner) = one;
        }
        let engine = self.transom.engine();
        let app = stand_in(&engine.config, &request, app);
        let mut request = request.map(|()| Empty::<Bytes>::new());
        if let Some(caller) = caller {
            request.extensions_mut().insert(Assumed(caller));
        }
        let trail = Trail::begin(&mut request, None);
        let layer = TransomLayer::of(Arc::new(engine.dry_run()));
        let Ok(reply) = layer.layer(app).oneshot(request).await;
        drop(reply);
        trail.told().clone()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn transom(&self) -> Transom {
        self.transom.clone()
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.transom.engine()
    }
}

impl Document {
    pub(crate) fn ready() -> Self {
        Self::assumed(DocumentState::Ready { document_id: "(its DWS id)".to_owned() })
    }

    pub(crate) fn pending() -> Self {
        Self::assumed(DocumentState::Pending { job: JobId(1), previous: None })
    }

    pub(crate) fn refused() -> Self {
        Self::assumed(DocumentState::Refused { detail: "as assumed".to_owned() })
    }

    pub(crate) fn unknown() -> Self {
        Self::Assumed(None)
    }

    pub(crate) fn uploaded_by(mut self, provenance: Provenance) -> Self {
        if let Self::Assumed(Some(mapping)) = &mut self {
            mapping.provenance = provenance;
        }
        self
    }

    fn assumed(state: DocumentState) -> Self {
        let now = now_ms();
        // Stands for every key.
        let mapping = DocumentKey::new("any", "any").ok().map(|key| store::Document {
            content_type: "application/pdf".to_owned(),
            ..store::Document::new(key, state, now)
        });
        Self::Assumed(mapping.map(Box::new))
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("transom-explain-{:016x}", crate::random::u64());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An empty folder left behind harms nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}
