//! Keys that live at a URL, kept fresh in the background.
//!
//! Only one task fetches, so there is never more than one fetch under way. Requests read what it
//! found last, and may wake it; while the URL fails, the last good set serves on.

mod fetch;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use url::Url;

use self::fetch::Fetcher;
use super::keys::KeySet;
use crate::config::Algorithm;

/// Fetches until it is dropped.
#[derive(Debug)]
pub(super) struct Jwks {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How long things take. The default is for use; tests are in more of a hurry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// A whole fetch.
    pub(super) fetch: Duration,
    /// A request waits this long for a fetch to end.
    pub(super) wait: Duration,
    /// Unknown keys start a fetch only this long after the last one.
    pub(super) floor: Duration,
    /// The first pause after a failure; it doubles, up to `floor`.
    pub(super) retry: Duration,
    /// A set that can't be renewed is believed this long.
    pub(super) stale: Duration,
}

#[derive(Debug)]
struct Shared {
    identity: String,
    fetcher: Fetcher,
    timing: Timing,
    state: ArcSwap<State>,
    wanted: Notify,
    /// Sends when a fetch has ended.
    ended: watch::Sender<()>,
}

/// Written by the task alone.
#[derive(Debug, Clone)]
struct State {
    last_good: Option<(Arc<KeySet>, Instant)>,
    begun: Instant,
    fetching: bool,
    /// Failures since the last success.
    failures: u32,
}

impl Jwks {
    /// A URL from which keys may be fetched.
    pub(super) fn address(url: &str) -> Result<Url, String> {
        let url =
            Url::parse(url).map_err(|error| format!("the JWKS URL can't be read: {error}"))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            _ => Err("the JWKS URL is neither https nor http".to_owned()),
        }
    }

    /// Starts the task on the current runtime; the first fetch begins at once.
    pub(super) fn start(
        identity: &str,
        url: Url,
        algorithms: &[Algorithm],
        timing: Timing,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| "keys at a URL can be fetched only within a tokio runtime".to_owned())?;
        if url.scheme() == "http" && !is_loopback(&url) {
            tracing::warn!(
                identity,
                "the JWKS URL is http: whoever is on the way can swap the keys"
            );
        }
        let shared = Arc::new(Shared {
            identity: identity.to_owned(),
            fetcher: Fetcher::new(url, algorithms, timing.fetch)?,
            timing,
            state: ArcSwap::from_pointee(State::new()),
            wanted: Notify::new(),
            ended: watch::Sender::new(()),
        });
        let task = runtime.spawn(Arc::clone(&shared).run());
        Ok(Self { shared, task })
    }

    /// The keys known now. If none are, waits for the fetch under way.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, &'static str> {
        let ended = self.shared.ended.subscribe();
        let state = self.shared.state.load_full();
        if let Some(keys) = state.keys(self.shared.timing.stale) {
            return Ok(keys);
        }
        if state.fetching {
            self.wait_for(ended).await;
        }
        self.shared.state.load().keys(self.shared.timing.stale).ok_or(NOT_FETCHED)
    }

    /// Whether there are keys, and whether the last fetch failed.
    pub(super) fn health(&self) -> (bool, bool) {
        let state = self.shared.state.load();
        (state.keys(self.shared.timing.stale).is_some(), state.failures > 0)
    }

    /// A set fetched after `seen`, for a token that no key of `seen` signed. `None` if the last fetch
    /// is too recent to ask again; an error if the keys of today can't be known.
    pub(super) async fn newer_than(
        &self,
        seen: &Arc<KeySet>,
    ) -> Result<Option<Arc<KeySet>>, &'static str> {
        let ended = self.shared.ended.subscribe();
        let state = self.shared.state.load_full();
        let due = state.begun.elapsed() >= self.shared.timing.floor;
        if due && !state.fetching {
            self.shared.wanted.notify_one();
        }
        if due || state.fetching {
            self.wait_for(ended).await;
        }
        let state = self.shared.state.load();
        match &state.last_good {
            Some((keys, _)) if !Arc::ptr_eq(keys, seen) => Ok(Some(Arc::clone(keys))),
            _ if state.failures > 0 || state.fetching => Err(NOT_FETCHED),
            _ => Ok(None),
        }
    }

    async fn wait_for(&self, mut ended: watch::Receiver<()>) {
        // Late or not, what counts is the state afterwards.
        let _ = timeout(self.shared.timing.wait, ended.changed()).await;
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        loop {
            let fetched = self.fetcher.fetch().await;
            let pause = self.conclude(fetched);
            self.ended.send_replace(());
            self.pause(pause).await;
            self.update(|state| {
                state.begun = Instant::now();
                state.fetching = true;
            });
        }
    }

    /// Takes note of what a fetch brought; returns the pause until the next one.
    fn conclude(&self, fetched: Result<fetch::Fetched, String>) -> Duration {
        let identity = self.identity.as_str();
        let state = self.update(|state| {
            state.fetching = false;
            match &fetched {
                Ok(fetched) => {
                    state.last_good = Some((Arc::clone(&fetched.keys), Instant::now()));
                    state.failures = 0;
                }
                Err(_) => state.failures = state.failures.saturating_add(1),
            }
        });
        let jitter = rand::random_range(0.9..1.1);
        match fetched {
            Ok(fetched) => {
                tracing::debug!(identity, "keys fetched");
                refresh_after(fetched.max_age).mul_f64(jitter)
            }
            Err(error) => {
                let known = state.keys(self.timing.stale).is_some();
                tracing::warn!(
                    identity,
                    error,
                    last_good_set_serves = known,
                    "keys can't be fetched"
                );
                retry_after(state.failures, &self.timing).mul_f64(jitter)
            }
        }
    }

    /// Waits until the next fetch is due, or wanted and allowed.
    async fn pause(&self, pause: Duration) {
        let wanted = async {
            loop {
                self.wanted.notified().await;
                if self.state.load().begun.elapsed() >= self.timing.floor {
                    break;
                }
            }
        };
        // Both ends mean the same.
        let _ = timeout(pause, wanted).await;
    }

    fn update(&self, change: impl FnOnce(&mut State)) -> State {
        let mut state = State::clone(&self.state.load());
        change(&mut state);
        self.state.store(Arc::new(state.clone()));
        state
    }
}

impl State {
    /// Before the first fetch, which begins with the task.
    fn new() -> Self {
        Self { last_good: None, begun: Instant::now(), fetching: true, failures: 0 }
    }

    fn keys(&self, stale: Duration) -> Option<Arc<KeySet>> {
        self.last_good
            .as_ref()
            .filter(|(_, fetched)| fetched.elapsed() < stale)
            .map(|(keys, _)| Arc::clone(keys))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(5),
            wait: Duration::from_secs(3),
            floor: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            stale: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Half of what the issuer allows, within reason.
fn refresh_after(max_age: Option<Duration>) -> Duration {
    max_age.map_or(REFRESH, |age| (age / 2).clamp(REFRESH_AT_LEAST, REFRESH_AT_MOST))
}

fn retry_after(failures: u32, timing: &Timing) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    timing.retry.saturating_mul(1 << doublings).min(timing.floor)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const NOT_FETCHED: &str = "the identity's keys can't be fetched at present";
const REFRESH: Duration = Duration::from_secs(10 * 60);
const REFRESH_AT_LEAST: Duration = Duration::from_secs(5 * 60);
const REFRESH_AT_MOST: Duration = Duration::from_secs(12 * 60 * 60);

#[cfg(test)]
mod tests;
