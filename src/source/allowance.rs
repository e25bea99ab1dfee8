//! How many fetches one caller may begin in an hour: each may become a document that DWS charges for.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cache::Recent;
use crate::reason::Reason;
use crate::session::Holder;

/// What callers have begun within their last hour.
pub(super) struct Allowance(Recent<Spender, Arc<Mutex<Spent>>>);

/// Who is counted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Spender {
    Holder(Holder),
    /// Credentials that no identity vouches for can be made up by the thousand; an address can't.
    Client(IpAddr),
}

#[derive(Clone, Copy)]
struct Spent {
    fetches: u32,
}

impl Spender {
    pub(super) fn new(holder: &Holder, client: Option<IpAddr>) -> Self {
        match (holder, client) {
            (Holder::Credentials(_), Some(client)) => Self::Client(client),
            (holder, _) => Self::Holder(holder.clone()),
        }
    }
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self(Recent::new(SPENDERS, HOUR))
    }

    /// Counts one more; `quota_exhausted` once `most` were begun within the hour.
    pub(super) fn spend(&self, spender: &Spender, most: u32) -> Result<(), Reason> {
        let fresh = || Arc::new(Mutex::new(Spent { fetches: 0 }));
        let spent = self.0.get_or_insert(spender, fresh);
        let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.fetches < most {
            spent.fetches += 1;
            return Ok(());
        }
        if spent.fetches == most {
            // Told once an hour: the place of the one more is kept for it.
            spent.fetches += 1;
            tracing::warn!(
                code = %Reason::QuotaExhausted, limit = most,
                "one caller has had as many documents fetched within the hour as `app.limits.fetches` allows"
            );
        }
        Err(Reason::QuotaExhausted)
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// Callers that are remembered; the one forgotten begins anew.
const SPENDERS: u64 = 10_000;
