//! Who may see what, and the sessions that say so.

mod broker;
mod policy;
mod viewer_session;

pub(crate) use broker::{Broker, Holder, Wanted};
pub(crate) use policy::{Variables, allowed, document_value, permissions};
pub use viewer_session::ViewerSession;
