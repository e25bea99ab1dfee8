//! The state of what Transom depends on: store, app, DWS, keys.

use serde::Serialize;

use crate::engine::{Engine, Transom};
use crate::health::State;

/// Something that Transom depends on, and how it is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Dependency {
    /// `store`, `spool`, `outbox`, the backend's name (`dws`), `keys` or `audit`; in the `transom` command also `app`, `tls` and
    /// `config`.
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// What an operator should know, without secrets.
    pub detail: String,
}

/// How a [`Dependency`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, or will again by itself.
    Degraded,
    /// Nothing is stored or given until it is mended.
    Down,
    /// Not asked yet.
    Unknown,
}

impl Transom {
    /// The state of what Transom depends on, as it was last seen, for the health endpoint of a service. Sends no
    /// request. Only the store's being [`Down`](Status::Down), as it has not been there yet, is a reason to send requests elsewhere.
    #[must_use]
    pub fn health(&self) -> Vec<Dependency> {
        self.engine().dependencies()
    }
}

impl Engine {
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        self.metrics.store_failures(self.store.failures());
        let mut dependencies = vec![
            store(self.store.health(), self.store.is_ready()),
            spool(self.spool.trouble()),
            outbox(self.metrics.jobs_parked(), self.outbox.is_paused()),
            backend(self.config.backend.name, &self.backend_health.state()),
            keys(self.authenticator.health()),
        ];
        dependencies.extend(self.audit.as_ref().map(|audit| audited(audit.check().is_ok())));
        dependencies
    }
}

/// One that was there before is expected back: what is to be written waits for it.
fn store(health: Result<(), String>, was_there: bool) -> Dependency {
    let (status, detail) = match health {
        Ok(()) => (Status::Ok, "takes writes".to_owned()),
        Err(told) if was_there => (Status::Degraded, told),
        Err(told) => (Status::Down, format!("no store yet: it {told}")),
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

/// What is parked waits for a person, and its documents for as long.
fn outbox(parked: u64, paused: bool) -> Dependency {
    let told = match (parked, paused) {
        (0, false) => None,
        (0, true) => Some("deliveries are paused: `transom outbox resume`".to_owned()),
        (parked, paused) => {
            let jobs = if parked == 1 { "job is" } else { "jobs are" };
            let too = if paused { "; deliveries are paused" } else { "" };
            Some(format!("{parked} {jobs} parked: see `transom outbox list`{too}"))
        }
    };
    let (status, detail) = match told {
        None => (Status::Ok, "nothing is parked".to_owned()),
        Some(told) => (Status::Degraded, told),
    };
    Dependency { name: "outbox", status, detail }
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

fn audited(writes: bool) -> Dependency {
    let (status, detail) = match writes {
        true => (Status::Ok, "takes lines"),
        false => (Status::Degraded, "can't be written, so no session is given; the log says why"),
    };
    Dependency { name: "audit", status, detail: detail.to_owned() }
}
