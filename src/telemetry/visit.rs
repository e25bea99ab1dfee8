//! What the steps of a request note about it, for its line in the access log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(feature = "cli")]
use std::{
    net::IpAddr,
    sync::{OnceLock, atomic::AtomicU64},
};

use http::Extensions;
#[cfg(feature = "cli")]
use http::HeaderValue;

use super::Lane;
use crate::reason::Reason;

/// Travels with a request as an extension, where there is an access log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visit(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    #[cfg(feature = "cli")]
    connection: Connection,
    /// By place in [`Lane::ALL`], of which the first is *pass*.
    lane: AtomicU8,
    /// By place in [`Reason::ALL`], from 1; 0 while there is none.
    reason: AtomicU8,
}

/// What the listener notes.
#[cfg(feature = "cli")]
#[derive(Debug, Default)]
struct Connection {
    client: OnceLock<IpAddr>,
    request_id: OnceLock<HeaderValue>,
    received: AtomicU64,
}

impl Visit {
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The request took another lane than *pass*.
    pub(crate) fn lane(extensions: &Extensions, lane: Lane) {
        if let Some(Self(notes)) = Self::of(extensions) {
            notes.lane.store(lane as u8, Ordering::Relaxed);
        }
    }

    /// The last word counts.
    pub(crate) fn decide(&self, reason: Reason) {
        self.0.reason.store(reason as u8 + 1, Ordering::Relaxed);
    }
}

/// For the listener, which writes the line.
#[cfg(feature = "cli")]
impl Visit {
    pub(crate) fn came(&self, client: Option<IpAddr>, request_id: &HeaderValue) {
        if let Some(client) = client {
            self.0.connection.client.get_or_init(|| client);
        }
        self.0.connection.request_id.get_or_init(|| request_id.clone());
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.0.connection.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The address that the request came from in the first place, as far as proxies are trusted to tell.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.0.connection.client.get().copied()
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.connection.request_id.get().and_then(|id| id.to_str().ok())
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.0.connection.received.load(Ordering::Relaxed)
    }

    pub(crate) fn lane_taken(&self) -> Lane {
        let place = usize::from(self.0.lane.load(Ordering::Relaxed));
        Lane::ALL.get(place).copied().unwrap_or(Lane::Pass)
    }

    pub(crate) fn decision(&self) -> Option<Reason> {
        let place = usize::from(self.0.reason.load(Ordering::Relaxed)).checked_sub(1)?;
        Reason::ALL.get(place).copied()
    }
}

const _: () = assert!(Reason::ALL.len() < u8::MAX as usize);

#[cfg(all(test, feature = "cli"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_back() {
        let mut extensions = Extensions::new();
        extensions.insert(Visit::default());
        let visit = Visit::of(&extensions).unwrap();
        assert_eq!((visit.lane_taken(), visit.decision()), (Lane::Pass, None));
        for lane in Lane::ALL {
            Visit::lane(&extensions, lane);
            assert_eq!(visit.lane_taken(), lane);
        }
        for reason in Reason::ALL {
            visit.decide(*reason);
            assert_eq!(visit.decision(), Some(*reason));
        }
    }
}
