//! Time for retries.

use std::time::Duration;

use tokio::time::Instant;

use super::schedule::MAX_DELAY;
use crate::store::now_ms;

/// Unix milliseconds that only go forward: read from the wall clock once, counted by the timer that
/// also wakes the worker, so that a clock being set neither stalls nor rushes retries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), started_ms: now_ms() }
    }

    pub(super) fn now(&self) -> u64 {
        self.started_ms.saturating_add(millis(self.started.elapsed()))
    }

    pub(super) fn instant(&self, at: u64) -> Instant {
        self.started + Duration::from_millis(at.saturating_sub(self.started_ms))
    }
}

/// The time at which a job that is due `at` may really be tried. One further away than any delay
/// was written under a clock that has been set back since.
pub(super) fn due_at(at: u64, now: u64) -> u64 {
    if at > now.saturating_add(millis(MAX_DELAY)) { now } else { at }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_retry_can_have_is_now() {
        assert_eq!(due_at(5, 10), 5);
        assert_eq!(due_at(millis(MAX_DELAY), 0), millis(MAX_DELAY));
        assert_eq!(due_at(millis(MAX_DELAY) + 11, 10), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn follows_the_timer() {
        let clock = Clock::start();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), before + 90_000);
        assert_eq!(clock.instant(clock.now()), Instant::now());
    }
}
