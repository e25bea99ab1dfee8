//! Connections to the app that wait for their next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::http1::Link;

/// The one that was used last is used next, so that those that are too many grow old.
pub(super) struct Pool {
    idle_limit: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    swept: bool,
}

struct Idle {
    link: Link,
    until: Instant,
}

impl Pool {
    pub(super) fn new(idle_limit: Duration) -> Arc<Self> {
        Arc::new(Self { idle_limit, state: Mutex::default() })
    }

    /// One that is not known to be closed.
    pub(super) fn take(&self) -> Option<Link> {
        let now = Instant::now();
        loop {
            let Idle { link, until } = self.state().idle.pop()?;
            if now < until && link.is_ready() {
                return Some(link);
            }
        }
    }

    /// Keeps one that is ready for its next request.
    pub(super) fn keep(self: &Arc<Self>, link: Link) {
        let limit = link.idle_limit.map_or(self.idle_limit, |said| said.min(self.idle_limit));
        let until = Instant::now() + limit;
        let mut state = self.state();
        if state.idle.len() >= MAX_IDLE {
            return;
        }
        if !state.swept {
            // Without a runtime there is no next request either.
            let Ok(runtime) = Handle::try_current() else { return };
            runtime.spawn(sweep(Arc::downgrade(self), self.idle_limit / SWEEPS));
            state.swept = true;
        }
        state.idle.push(Idle { link, until });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody took in time and what the app has closed, until nothing is left.
async fn sweep(pool: Weak<Pool>, pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut state = pool.state();
        state.idle.retain_mut(|idle| now < idle.until && idle.link.is_still_ready());
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
const MAX_IDLE: usize = 512;
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
