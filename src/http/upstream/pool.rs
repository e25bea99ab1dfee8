//! Connections to the app that wait for their next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// A connection that waits.
pub(super) trait Reusable: Send + 'static {
    /// Whether another request can be sent over it, as far as is known.
    fn is_ready(&mut self) -> bool;

    /// For how long the app keeps it, as it said last.
    fn idle_limit(&self) -> Option<Duration>;
}

/// The one that was used last is used next, so that those that are too many grow old.
pub(super) struct Pool<C> {
    idle_limit: Duration,
    most: usize,
    state: Mutex<State<C>>,
}

struct State<C> {
    idle: Vec<Idle<C>>,
    swept: bool,
}

struct Idle<C> {
    connection: C,
    until: Instant,
}

impl<C: Reusable> Pool<C> {
    /// For `most` connections.
    pub(super) fn new(idle_limit: Duration, most: usize) -> Arc<Self> {
        let state = State { idle: Vec::new(), swept: false };
        Arc::new(Self { idle_limit, most, state: Mutex::new(state) })
    }

    /// One that is not known to be closed.
    pub(super) fn take(&self) -> Option<C> {
        let now = Instant::now();
        loop {
            let Idle { mut connection, until } = self.state().idle.pop()?;
            if now < until && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps one that is ready for its next request.
    pub(super) fn keep(self: &Arc<Self>, connection: C) {
        let said = connection.idle_limit();
        let limit = said.map_or(self.idle_limit, |said| said.min(self.idle_limit));
        let until = Instant::now() + limit;
        let mut state = self.state();
        if state.idle.len() >= self.most {
            return;
        }
        if !state.swept {
            // Without a runtime there is no next request either.
            let Ok(runtime) = Handle::try_current() else { return };
            runtime.spawn(sweep(Arc::downgrade(self), self.idle_limit / SWEEPS));
            state.swept = true;
        }
        state.idle.push(Idle { connection, until });
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody took in time and what the app has closed, until nothing is left.
async fn sweep<C: Reusable>(pool: Weak<Pool<C>>, pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut state = pool.state();
        state.idle.retain_mut(|idle| now < idle.until && idle.connection.is_ready());
        state.swept = !state.idle.is_empty();
        if !state.swept {
            return;
        }
    }
}

/// For how long the app says that it keeps an idle connection, less what its word takes to get here.
pub(super) fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    let parameters = headers.get(KEEP_ALIVE)?.to_str().ok()?.split(',');
    let timeout = parameters.filter_map(|parameter| parameter.split_once('='));
    let mut timeout = timeout.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    let seconds = timeout.next()?.1.trim().trim_matches('"').parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()) * 4 / 5)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// In the time after which a connection is too old.
const SWEEPS: u32 = 4;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_app_says_how_long_it_waits() {
        for (line, expected) in [
            ("timeout=5", Some(4000)),
            ("timeout=5, max=100", Some(4000)),
            ("max=100, Timeout = \"10\"", Some(8000)),
            ("timeout=0", Some(0)),
            ("timeout=4294967295", Some(4_294_967_295 * 800)),
            ("timeout=-1", None),
            ("timeout", None),
            ("max=100", None),
        ] {
            let headers = HeaderMap::from_iter([(KEEP_ALIVE, HeaderValue::from_static(line))]);
            let expected = expected.map(Duration::from_millis);
            assert_eq!(keep_alive_timeout(&headers), expected, "{line}");
        }
    }
}
