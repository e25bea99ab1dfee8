//! What clients may take of us.

use std::time::Duration;

use super::pace::Slowness;

/// A limit that a client reached.
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
}

/// What one client, and all of them, may take. No duration is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// Until a request's head is here.
    pub(crate) header_time: Duration,
    /// Bytes of a request's head.
    pub(crate) header_size: u32,
    pub(crate) header_count: usize,
    /// In a request body, without a byte from the client.
    pub(crate) receive_idle: Duration,
    /// In a reply, without a byte taken by the client.
    pub(crate) send_idle: Duration,
    /// Bytes per second, on average over `rate_grace`; 0 is no limit.
    pub(crate) rate: u64,
    pub(crate) rate_grace: Duration,
    /// Between requests.
    pub(crate) keep_alive: Duration,
    /// Of all workers together.
    pub(crate) connections: usize,
}

/// What a listener holds its clients to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) of_clients: ClientLimits,
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
        let ClientLimits { rate, rate_grace, .. } = self.of_clients;
        Slowness { idle, idle_limit, rate, grace: rate_grace, rate_limit: Limit::Rate }
    }
}

#[cfg(test)]
impl ClientLimits {
    pub(crate) const USUAL: Self = Self {
        header_time: Duration::from_secs(30),
        header_size: 64 << 10,
        header_count: 100,
        receive_idle: Duration::from_secs(60),
        send_idle: Duration::from_secs(60),
        rate: 1 << 10,
        rate_grace: Duration::from_secs(30),
        keep_alive: Duration::from_secs(75),
        connections: 10_000,
    };
}

#[cfg(test)]
impl Default for ClientLimits {
    fn default() -> Self {
        Self::USUAL
    }
}
