//! Metrics, logs and request ids.

#[cfg(feature = "cli")]
pub(crate) mod log;
// Without the listeners some figures have no source, and nobody asks for the text.
#[cfg_attr(not(feature = "server"), allow(dead_code))]
mod metrics;
pub(crate) mod request_id;

#[cfg(feature = "server")]
pub(crate) use metrics::InFlight;
pub(crate) use metrics::{DwsCall, Lane, Metrics, Step};
