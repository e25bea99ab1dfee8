//! The settings that limit clients and the app, and what is said when one strikes.

use std::net::SocketAddr;

use crate::config::{Config, ServerLimits};
use crate::http::downstream::{ClientLimits, Limit, Limits};
use crate::telemetry::Metrics;

/// What `config` holds clients to.
pub(super) fn limits(config: &Config) -> Limits {
    Limits { of_clients: config.server.limits.into(), drain: config.server.drain }
}

/// A limit that struck; its name is the setting that changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitSetting {
    OfClients(Limit),
    Drain,
    FirstByte,
    ReplyIdle,
    Requests,
    QueueTime,
}

impl LimitSetting {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OfClients(limit) => match limit {
                Limit::HeaderTime => "server.limits.header_time",
                Limit::HeaderSize => "server.limits.header_size",
                Limit::HeaderCount => "server.limits.header_count",
                Limit::ReceiveIdle => "server.limits.receive_idle",
                Limit::SendIdle => "server.limits.send_idle",
                Limit::Rate => "server.limits.rate",
                Limit::KeepAlive => "server.limits.keep_alive",
                Limit::Connections => "server.limits.connections",
            },
            Self::Drain => "server.drain",
            Self::FirstByte => "app.limits.first_byte",
            Self::ReplyIdle => "app.limits.reply_idle",
            Self::Requests => "app.limits.requests",
            Self::QueueTime => "app.limits.queue_time",
        }
    }

    /// Counts it, and logs it as about this client.
    pub(super) fn strike(self, metrics: &Metrics, peer: Option<SocketAddr>) {
        metrics.limit(self.name());
        let (limit, peer) = (self.name(), peer.map(tracing::field::display));
        match self {
            // A client that has nothing more to ask is no trouble.
            Self::OfClients(Limit::KeepAlive) => {
                tracing::debug!(limit, peer, "closing an idle connection");
            }
            _ => tracing::info!(limit, peer, "a limit was reached"),
        }
    }
}

impl From<ServerLimits> for ClientLimits {
    fn from(limits: ServerLimits) -> Self {
        Self {
            header_time: limits.header_time,
            header_size: limits.header_size,
            header_count: limits.header_count,
            receive_idle: limits.receive_idle,
            send_idle: limits.send_idle,
            rate: limits.rate,
            rate_grace: limits.rate_grace,
            keep_alive: limits.keep_alive,
            connections: limits.connections,
        }
    }
}
