//! What happens is told once, and who wants to know of it listens.
//!
//! An event is borrowed from who tells it: one that no listener keeps costs no allocation. The lines of the
//! audit log are not among what is heard, since a session has to wait for its line there.

mod access_log;
mod audit;
mod event;
mod feed;
mod job;
mod log;
mod metrics;
mod origin;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::audit::AuditEvent;
pub(crate) use self::event::Event;
pub(crate) use self::feed::{Entry, Feed, Reader, Told};
pub(crate) use self::job::{JobEvent, JobRef, ParkedBy, StoreNeed};
pub(crate) use self::origin::{Origin, RequestId};
use crate::telemetry::Metrics;

/// Hears of every event, on the task that tells it: it must neither wait nor take long.
pub(crate) trait Listener: Send + Sync {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>);
}

/// Where events are told. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    listeners: Arc<[Box<dyn Listener>]>,
    feed: Feed,
}

impl Events {
    /// The listeners of every engine, one line each, and those of rooms above.
    pub(crate) fn new(metrics: Arc<Metrics>, others: Vec<Box<dyn Listener>>) -> Self {
        let feed = Feed::default();
        let listeners: Vec<Box<dyn Listener>> = vec![
            Box::new(metrics::Counting(metrics)),
            Box::new(access_log::Noting),
            Box::new(log::Logging),
            Box::new(feed.clone()),
        ];
        Self { listeners: listeners.into_iter().chain(others).collect(), feed }
    }

    /// No listener but this one, for what does not really happen.
    pub(crate) fn only(listener: Box<dyn Listener>) -> Self {
        Self { listeners: [listener].into(), feed: Feed::default() }
    }

    /// What happens, as it happens.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(crate) fn tell(&self, event: &Event<'_>, origin: &Origin<'_>) {
        for listener in &*self.listeners {
            listener.hear(event, origin);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("listeners", &self.listeners.len()).finish()
    }
}
