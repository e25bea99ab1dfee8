//! What `/readyz` tells of everything that the proxy depends on.

use std::sync::Arc;

use crate::health::State;

use super::admin::{Dependency, Health, Status};
use super::follow;
use super::stack::Stacks;
use crate::http::downstream::tls::Certificate;

/// The engine and the way to the app.
pub(super) struct ProxyHealth {
    pub(super) stacks: Arc<Stacks>,
    pub(super) config: Arc<follow::State>,
}

impl Health for ProxyHealth {
    fn dependencies(&self) -> Vec<Dependency> {
        let Stacks { transom, forwarder, certificate, .. } = &*self.stacks;
        let engine = transom.engine();
        let mut dependencies = vec![
            store(engine.store.health()),
            spool(engine.spool.trouble()),
            app(forwarder.answers()),
            backend(engine.config.backend.name, &engine.backend_health.state()),
            keys(engine.authenticator.health()),
        ];
        dependencies.extend(certificate.as_ref().map(tls));
        dependencies.extend(self.config.dependency());
        dependencies.extend(engine.audit.as_ref().map(|audit| audited(audit.check().is_ok())));
        dependencies
    }
}

fn tls(certificate: &Certificate) -> Dependency {
    let (status, detail) = match certificate.trouble() {
        None => (Status::Ok, "the certificate is the one of its files".to_owned()),
        Some(told) => (Status::Degraded, told),
    };
    Dependency { name: "tls", status, detail }
}

fn audited(writes: bool) -> Dependency {
    let (status, detail) = match writes {
        true => (Status::Ok, "takes lines"),
        false => (Status::Degraded, "can't be written, so no session is given; the log says why"),
    };
    Dependency { name: "audit", status, detail: detail.to_owned() }
}

fn store(health: Result<(), String>) -> Dependency {
    let (status, detail) = match health {
        Ok(()) => (Status::Ok, "takes writes".to_owned()),
        Err(told) => (Status::Down, told),
    };
    Dependency { name: "store", status, detail }
}

/// Until something is captured again; the app's own requests are not touched by it.
fn spool(trouble: Option<String>) -> Dependency {
    let (status, detail) = match trouble {
        None => (Status::Ok, "takes files".to_owned()),
        Some(told) => (Status::Degraded, told),
    };
    Dependency { name: "spool", status, detail }
}

fn app(answers: Option<bool>) -> Dependency {
    let (status, detail) = match answers {
        None => (Status::Unknown, "not asked yet"),
        Some(true) => (Status::Ok, "answered the last request"),
        Some(false) => (Status::Degraded, "did not answer the last request; the log says why"),
    };
    Dependency { name: "app", status, detail: detail.to_owned() }
}

fn backend(name: &'static str, state: &State) -> Dependency {
    let (status, detail) = match state {
        State::NotAsked => (Status::Unknown, "not asked yet".to_owned()),
        State::Good => (Status::Ok, "the key is accepted".to_owned()),
        State::Bad(told) => (Status::Degraded, told.clone()),
    };
    Dependency { name, status, detail }
}

fn keys<'a>(identities: impl Iterator<Item = (&'a str, bool, bool)>) -> Dependency {
    let (mut missing, mut stale) = (Vec::new(), Vec::new());
    for (name, known, failing) in identities {
        match (known, failing) {
            (false, _) => missing.push(name),
            (true, true) => stale.push(name),
            (true, false) => {}
        }
    }
    let (status, detail) = match (missing.as_slice(), stale.as_slice()) {
        ([], []) => (Status::Ok, "at hand".to_owned()),
        ([], stale) => {
            (Status::Degraded, format!("no fresh ones for {}; older ones serve", stale.join(", ")))
        }
        (missing, _) => (Status::Degraded, format!("none yet for {}", missing.join(", "))),
    };
    Dependency { name: "keys", status, detail }
}
