//! What the app says before its reply.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};

/// Request extension: hears the app's interim replies (RFC 9110 section 15.2) to this request, in their order.
/// A 101 is none.
#[derive(Clone)]
pub(crate) struct OnInterim {
    hear: Arc<Hear>,
    /// With the authority under which the client knows us.
    edit: Option<(Arc<dyn EditReply>, Option<HeaderValue>)>,
}

type Hear = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

/// Makes a reply's headers right for a client that knows us under the authority `public`.
pub(crate) trait EditReply: Send + Sync {
    fn edit_reply(&self, headers: &mut HeaderMap, public: Option<&HeaderValue>);
}

impl OnInterim {
    pub(crate) fn new(hear: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self { hear: Arc::new(hear), edit: None }
    }

    /// What is said is edited first, as the reply itself will be.
    pub(crate) fn edited_by(&mut self, edit: Arc<dyn EditReply>, public: Option<&HeaderValue>) {
        self.edit = Some((edit, public.cloned()));
    }

    pub(crate) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        match &self.edit {
            Some((edit, public)) => {
                let mut headers = headers.clone();
                edit.edit_reply(&mut headers, public.as_ref());
                (self.hear)(status, &headers);
            }
            None => (self.hear)(status, headers),
        }
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInterim")
    }
}
