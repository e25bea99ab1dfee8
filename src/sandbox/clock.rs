//! Times as DWS writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::telemetry::Rfc3339;

pub(super) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-06-23T12:00:00.123Z` (RFC 3339) for a time since the epoch.
pub(super) fn rfc3339(since_epoch: Duration) -> String {
    Rfc3339(since_epoch).to_string()
}
