//! What `/readyz` tells of everything that the proxy depends on.

use std::sync::Arc;

use crate::admin::Health;
use crate::dependencies::{Dependency, Status};
use crate::http::downstream::signal::Shutdown;

use super::follow;
use super::reload::Stacks;
use crate::proxy::tls::Certificate;

/// The engine and the way to the app.
pub(super) struct ProxyHealth {
    pub(super) stacks: Arc<Stacks>,
    pub(super) config: Arc<follow::State>,
    /// Of the proxy, not of the admin listener.
    pub(super) proxy_stops: Shutdown,
}

impl Health for ProxyHealth {
    fn dependencies(&self) -> Vec<Dependency> {
        let Stacks { transom, forwarder, certificate, .. } = &*self.stacks;
        let engine = transom.engine();
        let mut dependencies = engine.dependencies();
        dependencies.push(app(forwarder.answers()));
        dependencies.extend(certificate.as_ref().map(tls));
        dependencies.extend(self.config.dependency());
        dependencies
    }

    fn is_draining(&self) -> bool {
        self.proxy_stops.is_requested()
    }
}

fn tls(certificate: &Certificate) -> Dependency {
    let (status, detail) = match certificate.trouble() {
        None => (Status::Ok, "the certificate is the one of its files".to_owned()),
        Some(told) => (Status::Degraded, told),
    };
    Dependency { name: "tls", status, detail }
}

fn app(answers: Option<bool>) -> Dependency {
    let (status, detail) = match answers {
        None => (Status::Unknown, "not asked yet"),
        Some(true) => (Status::Ok, "answered the last request"),
        Some(false) => (Status::Degraded, "did not answer the last request; the log says why"),
    };
    Dependency { name: "app", status, detail: detail.to_owned() }
}
