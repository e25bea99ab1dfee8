//! The DWS Viewer API, as far as its behaviour is known.
//!
//! Traps that the code here answers to: `Accept` must name JSON or DWS may answer 406; the id of an
//! upload has several spellings; deletes succeed with plain text; errors are text, JSON, HTML or
//! nothing; an upload is not idempotent, so an attempt whose end is not known is
//! [`BackendErrorKind::Unclear`] and nothing here repeats it.

mod client;
mod data_plane;
mod learnt;
mod listing;
mod liveness;
mod readback;
mod scrub;
mod upload;
mod verdict;

#[cfg(all(test, feature = "cli"))]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::client::DwsClient;
use super::{
    Backend, BackendError, BackendErrorKind, Capabilities, Listed, ListedDocument, Properties,
    SessionRequest, SessionToken, Times, Upload,
};
use crate::config::{BackendConfig, VIEWABLE_TYPES};
use crate::telemetry::Metrics;

pub(super) const NAME: &str = "dws";

pub(super) fn connect(
    config: &BackendConfig,
    metrics: Arc<Metrics>,
    folder: Option<&Path>,
) -> Result<Arc<dyn Backend>, String> {
    Ok(Arc::new(DwsClient::new(config, metrics, folder)?))
}

impl Backend for DwsClient {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Of ids and titles, the guides say nothing that was seen to hold, but each reply to an upload tells. Larger files
    /// than this are answered with 413.
    fn capabilities(&self) -> Capabilities {
        let (honours_ids, honours_titles) = self.learnt.honours();
        Capabilities {
            honours_ids,
            honours_titles,
            mints_locally: false,
            max_size: Some(100 << 20),
            types: VIEWABLE_TYPES,
        }
    }

    fn account(&self) -> &str {
        self.learnt.account()
    }

    fn times(&self) -> Times {
        self.times
    }

    fn properties<'a>(
        &'a self,
        document_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Properties>, BackendError>> {
        Box::pin(self.properties(document_id))
    }

    fn list<'a>(&'a self, cursor: Option<&'a str>) -> BoxFuture<'a, Result<Listed, BackendError>> {
        Box::pin(self.list(cursor))
    }

    fn upload<'a>(&'a self, upload: Upload<'a>) -> BoxFuture<'a, Result<String, BackendError>> {
        Box::pin(self.upload(upload))
    }

    fn remove<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.remove(document_id))
    }

    fn session<'a>(
        &'a self,
        request: SessionRequest<'a>,
    ) -> BoxFuture<'a, Result<SessionToken, BackendError>> {
        Box::pin(self.session(request))
    }

    fn has_lost<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(self.has_lost(document_id))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(self.check())
    }

    fn data_planes(&self) -> Arc<Vec<String>> {
        self.data_planes()
    }
}
