//! What the app says before its reply.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

/// Request extension: hears the app's interim replies (RFC 9110 section 15.2) to this request, in their order.
/// A 101 is none.
#[derive(Clone)]
pub(crate) struct OnInterim(Arc<Hear>);

type Hear = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl OnInterim {
    pub(crate) fn new(hear: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(crate) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        (self.0)(status, headers);
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInterim")
    }
}
