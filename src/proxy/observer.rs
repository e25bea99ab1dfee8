//! What happens on connections, in the words of our metrics and logs.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;

use crate::http::ClientInfo;
use crate::http::downstream::arriving::Arriving;
use crate::http::downstream::proxy_protocol::Unreadable;
use crate::http::downstream::{Limit, Observer, ReplyObserver};
use crate::http::guard::{Refusal, RefusalObserver};
use crate::reason::Reason;
use crate::telemetry::Metrics;

use super::access_log::{AccessLog, Visitor};
use super::limits::LimitSetting;

/// Counts and logs for one listener.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    pub(super) metrics: Arc<Metrics>,
    /// With a line for each request.
    pub(super) access_log: Option<AccessLog>,
}

impl RefusalObserver for ConnectionLog {
    fn refused(&self, peer: SocketAddr, refusal: Refusal, what: &'static str) {
        let code = Reason::from(refusal);
        tracing::info!(%code, %peer, what, "request refused");
    }
}

impl Observer for ConnectionLog {
    fn limit_reached(&self, limit: Limit, peer: Option<SocketAddr>) {
        LimitSetting::OfClients(limit).strike(&self.metrics, peer);
    }

    fn evicted(&self, peer: SocketAddr) {
        let limit = LimitSetting::OfClients(Limit::Connections).name();
        self.metrics.limit(limit);
        tracing::debug!(limit, %peer, "closing a silent connection to make room");
    }

    fn cut_at_end(&self, connections: usize) {
        let limit = LimitSetting::Drain.name();
        self.metrics.limit(limit);
        tracing::warn!(limit, connections, "closing connections that did not finish in time");
    }

    fn not_introduced(&self, proxy: SocketAddr, error: &Unreadable) {
        let code = Reason::ProxyHeaderInvalid;
        tracing::warn!(%code, peer = %proxy, %error, "no PROXY protocol header where one is due");
    }

    fn request(
        &self,
        request: &mut Request<Arriving>,
        client: ClientInfo,
    ) -> Option<Box<dyn ReplyObserver>> {
        let log = self.access_log.as_ref()?;
        Some(Visitor::follow(log, request, client))
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Target => Self::TargetUnclear,
            Refusal::Framing => Self::FramingUnclear,
            Refusal::Host => Self::HostUnclear,
            Refusal::Coding => Self::CodingUnknown,
        }
    }
}
