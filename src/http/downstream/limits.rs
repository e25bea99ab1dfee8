//! What clients may take of us, and what is said when one takes more.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::ServerLimits;
use crate::telemetry::Metrics;

use super::pace::Slowness;

/// A limit that struck; its name is the setting that changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    HeaderTime,
    HeaderSize,
    HeaderCount,
    ReceiveIdle,
    SendIdle,
    Rate,
    KeepAlive,
    Connections,
    Drain,
    FirstByte,
    ReplyIdle,
    Requests,
    QueueTime,
}

/// What a listener holds its clients to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) of_clients: ServerLimits,
    /// For requests in progress when the end comes.
    pub(crate) drain: Duration,
}

impl Limits {
    /// For the client's own bytes.
    pub(crate) fn receiving(&self) -> Slowness {
        self.slowness(self.of_clients.receive_idle, Limit::ReceiveIdle)
    }

    /// For what the client takes of our reply.
    pub(crate) fn sending(&self) -> Slowness {
        self.slowness(self.of_clients.send_idle, Limit::SendIdle)
    }

    fn slowness(&self, idle: Duration, idle_limit: Limit) -> Slowness {
        let ServerLimits { rate, rate_grace, .. } = self.of_clients;
        Slowness { idle, idle_limit, rate, grace: rate_grace, rate_limit: Limit::Rate }
    }
}

impl Limit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HeaderTime => "server.limits.header_time",
            Self::HeaderSize => "server.limits.header_size",
            Self::HeaderCount => "server.limits.header_count",
            Self::ReceiveIdle => "server.limits.receive_idle",
            Self::SendIdle => "server.limits.send_idle",
            Self::Rate => "server.limits.rate",
            Self::KeepAlive => "server.limits.keep_alive",
            Self::Connections => "server.limits.connections",
            Self::Drain => "server.drain",
            Self::FirstByte => "app.limits.first_byte",
            Self::ReplyIdle => "app.limits.reply_idle",
            Self::Requests => "app.limits.requests",
            Self::QueueTime => "app.limits.queue_time",
        }
    }

    /// Counts a connection that is closed for another's sake.
    pub(crate) fn make_way(self, metrics: &Metrics, peer: SocketAddr) {
        metrics.limit(self.name());
        tracing::debug!(limit = self.name(), %peer, "closing a silent connection to make room");
    }

    /// Counts it, and logs it as about this client.
    pub(crate) fn strike(self, metrics: &Metrics, peer: Option<SocketAddr>) {
        metrics.limit(self.name());
        let (limit, peer) = (self.name(), peer.map(tracing::field::display));
        match self {
            // A client that has nothing more to ask is no trouble.
            Self::KeepAlive => tracing::debug!(limit, peer, "closing an idle connection"),
            _ => tracing::info!(limit, peer, "a limit was reached"),
        }
    }
}
