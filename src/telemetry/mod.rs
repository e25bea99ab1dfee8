//! Metrics, logs and request ids.

#[cfg(feature = "cli")]
mod listeners;
#[cfg(feature = "cli")]
pub(crate) mod log;
mod log_file;
mod metrics;
pub(crate) mod request_id;
mod rfc3339;
mod visit;

pub(crate) use crate::reason::Step;
#[cfg(feature = "cli")]
pub(crate) use listeners::InFlight;
pub(crate) use log_file::LogFile;
pub use metrics::OutboxFigures;
pub(crate) use metrics::{BackendCall, Lane, Metrics};
pub(crate) use rfc3339::Rfc3339;
pub(crate) use visit::Visit;
