//! Who may see what, and the sessions that say so.

mod answer;
mod broker;
mod decisions;
mod flights;
mod liveness;
mod on_record;
mod policy;
mod renewals;
mod viewer_session;

pub(crate) use answer::{Answer, Refusal, judge};
pub(crate) use broker::{Broker, Holder, Wanted};
pub(crate) use decisions::{Decisions, Question};
pub(crate) use on_record::OnRecord;
pub(crate) use policy::{Variables, allowed, document_value, permissions};
pub use viewer_session::ViewerSession;

use crate::backend::SessionToken;

/// A session that is handed out for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: SessionToken,
    /// Whom the audit log tells of, where there is one.
    pub(crate) on_record: OnRecord,
}
