//! Metrics, logs and request ids.

#[cfg(feature = "cli")]
pub(crate) mod log;
mod metrics;
pub(crate) mod request_id;

#[cfg(feature = "server")]
pub(crate) use metrics::InFlight;
pub(crate) use metrics::{DwsCall, Lane, Metrics, Step};
