//! Keys that live at a URL, kept fresh in the background.
//!
//! Only one task fetches, so there is never more than one fetch under way, and fetches that a key
//! server's trouble or an unknown key cause begin at least [`Timing::floor`] apart. Requests read what
//! it found last, and may wake it; while the URL fails, the last good set serves on. The set is also
//! kept on disk, for a start while the URL fails.

mod absent;
mod fetch;
mod stored;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use url::Url;

use self::absent::Absent;
pub(super) use self::fetch::Address;
use self::fetch::{Fetched, Fetcher, Origin};
use self::stored::Stored;
use super::compact::Compact;
use super::keys::{Demands, KeySet, Verdict};
use crate::auth::Algorithm;

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
    /// After a failure, or for an unknown key, the next fetch begins only this long after the last.
    pub(super) floor: Duration,
    /// A set that can't be renewed is believed this long.
    pub(super) stale: Duration,
}

#[derive(Debug)]
struct Shared {
    identity: String,
    timing: Timing,
    state: ArcSwap<State>,
    absent: Absent,
    stored: Option<Stored>,
    wanted: Notify,
    /// Sends when a fetch has ended.
    ended: watch::Sender<()>,
}

/// Written by the task alone.
#[derive(Debug, Clone)]
struct State {
    last_good: Option<Good>,
    /// How often `last_good` became another set.
    changes: u64,
    begun: Instant,
    /// How many have begun.
    fetches: u64,
    fetching: bool,
    /// Whether the last fetch failed.
    failing: bool,
}

#[derive(Debug, Clone)]
struct Good {
    keys: Arc<KeySet>,
    until: Instant,
}

impl Jwks {
    /// Starts the task on the current runtime; the first fetch begins at once. Until it ends, the set
    /// that `store` holds serves, if there is one.
    pub(super) fn start(
        identity: &str,
        address: Address,
        demands: &Demands,
        timing: Timing,
        store: Option<&Path>,
    ) -> Result<Self, String> {
        let url = address.url();
        if url.scheme() == "http" && !is_loopback(url) {
            tracing::warn!(identity, "the keys come by http: whoever is on the way can swap them");
        }
        let stored = store.map(|dir| Stored::new(dir, identity, url.as_str()));
        let fetcher = Fetcher::new(address, demands, timing.fetch)?;
        Self::start_from(identity, fetcher, demands, timing, stored)
    }

    fn start_from(
        identity: &str,
        origin: impl Origin,
        demands: &Demands,
        timing: Timing,
        stored: Option<Stored>,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| "keys at a URL can be fetched only within a tokio runtime".to_owned())?;
        let last_good = stored.as_ref().and_then(|stored| from_disk(stored, demands, &timing));
        if last_good.is_some() {
            tracing::info!(identity, "the keys of the last run serve until new ones are fetched");
        }
        let shared = Arc::new(Shared {
            identity: identity.to_owned(),
            timing,
            state: ArcSwap::from_pointee(State::new(last_good)),
            absent: Absent::new(),
            stored,
            wanted: Notify::new(),
            ended: watch::Sender::new(()),
        });
        let task = runtime.spawn(Arc::clone(&shared).run(origin));
        Ok(Self { shared, task })
    }

    /// An error if the keys of today can't be known, and those that are known don't answer.
    pub(super) async fn verify(
        &self,
        token: &Compact<'_>,
        algorithm: Algorithm,
    ) -> Result<Verdict, &'static str> {
        let keys = self.keys().await?;
        let verdict = keys.verify(token, algorithm);
        let absent = |kid: &String| self.shared.absent.contains(kid);
        if verdict != Verdict::Unknown || token.kid.as_ref().is_some_and(absent) {
            return Ok(verdict);
        }
        let asked = self.shared.state.load().fetches;
        let newer = self.newer_than(&keys).await?;
        let verdict = newer.map_or(Verdict::Unknown, |newer| newer.verify(token, algorithm));
        if let (Verdict::Unknown, Some(kid)) = (verdict, &token.kid)
            && self.shared.has_fetched_after(asked)
        {
            self.shared.absent.insert(kid);
        }
        Ok(verdict)
    }

    /// The keys known now. If none are, waits for the fetch under way.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, &'static str> {
        let ended = self.shared.ended.subscribe();
        let state = self.shared.state.load_full();
        if let Some(keys) = state.keys() {
            return Ok(keys);
        }
        if state.fetching {
            self.wait_for(ended).await;
        }
        self.shared.state.load().keys().ok_or(NOT_FETCHED)
    }

    /// Whether there are keys, and whether the last fetch failed.
    pub(super) fn health(&self) -> (bool, bool) {
        let state = self.shared.state.load();
        (state.keys().is_some(), state.failing)
    }

    /// How often the set became another one.
    pub(super) fn changes(&self) -> u64 {
        self.shared.state.load().changes
    }

    /// A set fetched after `seen`, for a token that no key of `seen` signed. `None` if the last fetch
    /// is too recent to ask again.
    async fn newer_than(&self, seen: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, &'static str> {
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
            Some(good) if !Arc::ptr_eq(&good.keys, seen) => Ok(Some(Arc::clone(&good.keys))),
            _ if state.failing || state.fetching => Err(NOT_FETCHED),
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
    async fn run(self: Arc<Self>, mut origin: impl Origin) {
        loop {
            let fetched = origin.fetch().await;
            let pause = self.conclude(&fetched);
            self.ended.send_replace(());
            if let Ok(fetched) = fetched {
                self.save(fetched).await;
            }
            self.pause(pause).await;
            self.update(|state| {
                state.begun = Instant::now();
                state.fetches += 1;
                state.fetching = true;
            });
        }
    }

    /// Takes note of what a fetch brought; returns the pause until the next one.
    fn conclude(&self, fetched: &Result<Fetched, String>) -> Duration {
        let identity = self.identity.as_str();
        let state = self.update(|state| {
            state.fetching = false;
            state.failing = fetched.is_err();
            if let Ok(fetched) = &fetched {
                let until = Instant::now() + self.timing.stale;
                let known = state.last_good.as_ref().map(|good| &good.keys);
                if !known.is_some_and(|keys| Arc::ptr_eq(keys, &fetched.keys)) {
                    state.changes += 1;
                }
                state.last_good = Some(Good { keys: Arc::clone(&fetched.keys), until });
            }
        });
        match fetched {
            Ok(fetched) => {
                tracing::debug!(identity, "keys fetched");
                refresh_after(fetched.max_age).mul_f64(0.9 + 0.1 * crate::random::fraction())
            }
            Err(error) => {
                let known = state.keys().is_some();
                tracing::warn!(
                    identity,
                    error,
                    last_good_set_serves = known,
                    "keys can't be fetched"
                );
                self.timing.floor.mul_f64(1.0 + 0.1 * crate::random::fraction())
            }
        }
    }

    async fn save(&self, fetched: Fetched) {
        let Some(stored) = self.stored.clone() else { return };
        let saved = tokio::task::spawn_blocking(move || stored.save(&fetched.text)).await;
        if let Ok(Err(error)) = saved {
            let identity = self.identity.as_str();
            tracing::warn!(identity, %error, "the keys can't be kept for a start without the network");
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

    /// Whether a fetch has succeeded that began after this many.
    fn has_fetched_after(&self, fetches: u64) -> bool {
        let state = self.state.load();
        state.fetches > fetches && !state.fetching && !state.failing
    }
}

impl State {
    /// Before the first fetch, which begins with the task.
    fn new(last_good: Option<Good>) -> Self {
        Self {
            last_good,
            changes: 0,
            begun: Instant::now(),
            fetches: 1,
            fetching: true,
            failing: false,
        }
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        let good = self.last_good.as_ref().filter(|good| Instant::now() < good.until);
        good.map(|good| Arc::clone(&good.keys))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(5),
            wait: Duration::from_secs(3),
            floor: Duration::from_secs(30),
            stale: Duration::from_secs(24 * 60 * 60),
        }
    }
}

fn from_disk(stored: &Stored, demands: &Demands, timing: &Timing) -> Option<Good> {
    let (set, age) = stored.load()?;
    let left = timing.stale.checked_sub(age)?;
    let keys = Arc::new(KeySet::jwks(&set, demands).ok()?);
    Some(Good { keys, until: Instant::now() + left })
}

/// Half of what the issuer allows, within reason.
fn refresh_after(max_age: Option<Duration>) -> Duration {
    max_age.map_or(REFRESH, |age| (age / 2).clamp(REFRESH_AT_LEAST, REFRESH_AT_MOST))
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
mod life;
#[cfg(test)]
mod tests;
