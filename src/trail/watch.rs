//! Trails of live requests: an operator asks for the next one of a kind.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Explanation, Trail};
use crate::route::Pattern;
use crate::telemetry::request_id;

/// Who waits for which request. While nobody does, a request costs one relaxed load.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    armed: AtomicUsize,
    traces: Mutex<Vec<Trace>>,
}

/// Which request is meant: the next one that is all of this.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// As in routes: `/api/files/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// What `x-request-id` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// Seconds to wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<u64>,
}

#[derive(Debug)]
struct Trace {
    id: String,
    /// Who asked for it.
    client: Option<IpAddr>,
    sought: Option<Sought>,
    /// Until when it waits for a request; its result stays for [`KEPT`] after that.
    until: Instant,
    told: watch::Receiver<Option<Explanation>>,
}

#[derive(Debug)]
struct Sought {
    method: Option<Method>,
    path: Option<Pattern>,
    request_id: Option<String>,
    listener: watch::Sender<Option<Explanation>>,
}

/// What is known of a trace.
pub(crate) enum Progress {
    /// No such request came yet, or it is not done.
    Waiting,
    Told(Box<Explanation>),
    /// No such request came in time.
    Expired,
    Unknown,
}

impl Watch {
    /// Gives the request a trail if somebody waits for it.
    pub(crate) fn look<B>(&self, request: &mut Request<B>) {
        if self.armed.load(Ordering::Relaxed) == 0 || Trail::of(request.extensions()).is_some() {
            return;
        }
        let mut traces = self.tidy();
        let found = traces
            .iter_mut()
            .find_map(|trace| trace.sought.take_if(|sought| sought.is_this(request)));
        self.count(&traces);
        drop(traces);
        if let Some(sought) = found {
            Trail::begin(request, Some(sought.listener));
        }
    }

    /// Waits for a request; the name of its trace, or a sentence for the operator.
    ///
    /// The oldest that waits for the same client gives way where one client has too many, and that of the client
    /// with the most where all have.
    pub(crate) fn arm(&self, wanted: Wanted, client: Option<IpAddr>) -> Result<String, String> {
        let Wanted { method, path, request_id, within } = wanted;
        if method.is_none() && path.is_none() && request_id.is_none() {
            return Err("say which request: `method`, `path` or `request_id`".to_owned());
        }
        let within = Duration::from_secs(within.unwrap_or(60));
        if within.is_zero() || within > LONGEST {
            return Err(format!("`within` is 1 to {} seconds", LONGEST.as_secs()));
        }
        let method =
            method.map(|method| method.parse().map_err(|_| format!("{method:?} is not a method")));
        let (listener, told) = watch::channel(None);
        let sought = Sought {
            method: method.transpose()?,
            path: path.map(|path| Pattern::parse(&path)).transpose()?,
            request_id,
            listener,
        };
        let mut traces = self.tidy();
        let waiting = |client, traces: &[Trace]| {
            traces.iter().filter(|trace| trace.waits_for(client)).count()
        };
        let gives_way = if waiting(client, &traces) >= MAX_OF_A_CLIENT {
            traces.iter().position(|trace| trace.waits_for(client))
        } else if traces.len() >= MAX_TRACES {
            // Results first.
            traces.iter().position(|trace| trace.sought.is_none()).or_else(|| {
                let clients = traces.iter().map(|trace| trace.client);
                let greediest = clients.max_by_key(|client| waiting(*client, &traces))?;
                traces.iter().position(|trace| trace.waits_for(greediest))
            })
        } else {
            None
        };
        if let Some(gives_way) = gives_way {
            traces.remove(gives_way);
        }
        // Not a number that can be guessed: a trail is for whoever asked for it.
        let id = format!("{:016x}", crate::random::u64());
        let until = Instant::now() + within;
        traces.push(Trace { id: id.clone(), client, sought: Some(sought), until, told });
        self.count(&traces);
        Ok(id)
    }

    /// Waits up to `patience` for the trail.
    pub(crate) async fn progress(&self, id: &str, patience: Duration) -> Progress {
        let found = self.tidy().iter().find(|trace| trace.id == id).map(|trace| {
            let end = trace.sought.is_some().then_some(trace.until);
            (trace.told.clone(), end)
        });
        let Some((mut told, end)) = found else { return Progress::Unknown };
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let patience = left.map_or(patience, |left| patience.min(left));
        let _ = tokio::time::timeout(patience, told.wait_for(Option::is_some)).await;
        // Whoever was not found in time is not waited for any more.
        drop(self.tidy());
        let explanation = told.borrow().clone();
        match explanation {
            Some(explanation) => Progress::Told(Box::new(explanation)),
            // Nobody is left who could tell.
            None if told.has_changed().is_err() => Progress::Expired,
            None => Progress::Waiting,
        }
    }

    /// Without the traces whose time is over.
    fn tidy(&self) -> MutexGuard<'_, Vec<Trace>> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for trace in traces.iter_mut() {
            trace.sought.take_if(|_| now >= trace.until);
        }
        traces.retain(|trace| now < trace.until + KEPT);
        self.count(&traces);
        traces
    }

    fn count(&self, traces: &[Trace]) {
        let armed = traces.iter().filter(|trace| trace.sought.is_some()).count();
        self.armed.store(armed, Ordering::Relaxed);
    }
}

impl Trace {
    fn waits_for(&self, client: Option<IpAddr>) -> bool {
        self.sought.is_some() && self.client == client
    }
}

impl Sought {
    fn is_this<B>(&self, request: &Request<B>) -> bool {
        let (method, uri) = (request.method(), request.uri());
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|p| p.captures(uri.path(), uri.query()).is_some())
            && self.request_id.as_deref().is_none_or(|id| id == request_id::of(request.headers()))
    }
}

/// Waiting, or kept.
const MAX_TRACES: usize = 16;
/// Waiting.
const MAX_OF_A_CLIENT: usize = 4;
const LONGEST: Duration = Duration::from_secs(600);
const KEPT: Duration = Duration::from_secs(120);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Extensions;

    use super::*;
    use crate::trail::Finding;

    fn request(line: &str) -> Request<()> {
        let (method, target) = line.split_once(' ').unwrap();
        Request::builder().method(method).uri(target).body(()).unwrap()
    }

    fn wanted(method: &str, path: &str) -> Wanted {
        Wanted { method: Some(method.into()), path: Some(path.into()), ..Wanted::default() }
    }

    #[tokio::test]
    async fn the_next_such_request_is_told_once_it_is_gone() {
        let watch = Watch::default();
        let id = watch.arm(wanted("GET", "/f/{id}"), None).unwrap();
        for other in ["GET /g/1", "POST /f/1"] {
            let mut other = request(other);
            watch.look(&mut other);
            assert!(Trail::of(other.extensions()).is_none());
        }
        let mut this = request("GET /f/1?token=hidden");
        watch.look(&mut this);
        let clone: Extensions = this.extensions().clone();
        Trail::step(&clone, "a", || (Finding::Yes, "b".into()));
        drop(this);
        assert!(matches!(watch.progress(&id, Duration::ZERO).await, Progress::Waiting));
        drop(clone);
        let Progress::Told(told) = watch.progress(&id, Duration::ZERO).await else { panic!() };
        assert_eq!(told.request, "GET /f/1");
        assert_eq!(told.steps.len(), 1);
        let mut next = request("GET /f/2");
        watch.look(&mut next);
        assert!(Trail::of(next.extensions()).is_none(), "one request only");
        assert_eq!(watch.armed.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_request_that_never_came_is_told_as_such() {
        let watch = Watch::default();
        let id = watch.arm(Wanted { within: Some(1), ..wanted("GET", "/f") }, None).unwrap();
        assert!(matches!(watch.progress(&id, Duration::ZERO).await, Progress::Waiting));
        assert!(matches!(watch.progress(&id, Duration::from_secs(60)).await, Progress::Expired));
        assert_eq!(watch.armed.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn so_many_and_no_more() {
        let watch = Watch::default();
        let arm = |client: u8| {
            watch.arm(wanted("GET", "/f"), Some(IpAddr::from([127, 0, 0, client]))).unwrap()
        };
        let waits =
            async |id: &str| matches!(watch.progress(id, Duration::ZERO).await, Progress::Waiting);
        let first = arm(1);
        let greedy: Vec<_> = (0..100).map(|_| arm(2)).collect();
        assert!(waits(&first).await, "a client can't use up what others need");
        assert!(!waits(&greedy[95]).await && waits(&greedy[96]).await && waits(&greedy[99]).await);
        let others: Vec<_> = (3..30).map(arm).collect();
        assert!(watch.traces.lock().unwrap().len() <= MAX_TRACES);
        assert!(waits(&others[26]).await);
        for bad in [
            Wanted::default(),
            Wanted { within: Some(0), ..wanted("GET", "/f") },
            Wanted { within: Some(601), ..wanted("GET", "/f") },
            wanted("G T", "/f"),
            wanted("GET", "f"),
        ] {
            assert!(watch.arm(bad, None).is_err());
        }
        assert!(matches!(watch.progress("none", Duration::ZERO).await, Progress::Unknown));
    }
}
