//! Whether a client moves its bytes fast enough: the arithmetic, without clock and I/O.

use tokio::time::{Duration, Instant};

use super::limits::Limit;

/// How slow one direction may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slowness {
    /// Without a single byte.
    pub(crate) idle: Duration,
    pub(crate) idle_limit: Limit,
    /// Bytes per second, on average over `grace` of waiting; 0 is no limit.
    pub(crate) rate: u64,
    pub(crate) grace: Duration,
    pub(crate) rate_limit: Limit,
}

/// One direction of a client, measured by the time that we wait for it. Time in which the app makes
/// the client wait does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    slowness: Slowness,
    waiting_since: Option<Instant>,
    /// Of the period that the rate is judged by: waiting that is over, and bytes that came.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(slowness: Slowness) -> Self {
        Self { slowness, waiting_since: None, waited: Duration::ZERO, bytes: 0 }
    }

    /// Another one with these limits.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.slowness)
    }

    /// Nothing can be moved now.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// These bytes were moved.
    pub(crate) fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if let Some(since) = self.waiting_since.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }

    /// The limit that is exceeded by one of `share` that have the rate together.
    pub(crate) fn judge(&mut self, now: Instant, share: u64) -> Option<Limit> {
        let since = self.waiting_since?;
        let waiting = now.saturating_duration_since(since);
        let Slowness { idle, idle_limit, rate, grace, rate_limit } = self.slowness;
        if waiting >= idle {
            return Some(idle_limit);
        }
        let period = self.waited + waiting;
        if rate == 0 || period < grace {
            return None;
        }
        if u128::from(self.bytes) * 1000 * u128::from(share) < u128::from(rate) * period.as_millis()
        {
            return Some(rate_limit);
        }
        // What came in one period is no credit for the next, but silence keeps counting.
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        None
    }

    /// Before this moment no limit can be exceeded.
    pub(crate) fn next_check(&self, now: Instant) -> Instant {
        let Slowness { idle, rate, grace, .. } = self.slowness;
        let waiting = self.waiting_since.map_or(Duration::ZERO, |since| now - since);
        let silent = idle.saturating_sub(waiting);
        let period = self.waited + waiting;
        let slow = if rate == 0 {
            silent
        } else if period < grace {
            grace - period
        } else {
            grace
        };
        now + silent.min(slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    const SLOWNESS: Slowness = Slowness {
        idle: Duration::from_secs(60),
        idle_limit: Limit::ReceiveIdle,
        rate: 1024,
        grace: Duration::from_secs(30),
        rate_limit: Limit::Rate,
    };

    #[test]
    fn silence_strikes_after_its_time_and_not_before() {
        let start = Instant::now();
        let mut pace = Pace::new(Slowness { rate: 0, ..SLOWNESS });
        assert_eq!(pace.judge(at(start, 1000), 1), None);
        pace.wait(start);
        pace.wait(at(start, 59));
        assert_eq!(pace.judge(at(start, 59), 1), None);
        assert_eq!(pace.next_check(at(start, 59)), at(start, 60));
        assert_eq!(pace.judge(at(start, 60), 1), Some(Limit::ReceiveIdle));
        pace.moved(1, || at(start, 60));
        assert_eq!(pace.judge(at(start, 1000), 1), None);
    }

    #[test]
    fn only_the_time_that_we_wait_for_the_client_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(SLOWNESS);
        for minute in 0..100 {
            pace.wait(at(start, 60 * minute));
            pace.moved(1024, || at(start, 60 * minute + 1));
            // The app takes a minute for each of these, which is not the client's fault.
        }
        pace.wait(at(start, 6000));
        assert_eq!(pace.judge(at(start, 6000), 1), None);
    }

    #[test]
    fn a_trickle_strikes_even_after_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::new(SLOWNESS);
        pace.moved(1 << 30, || start);
        let mut struck = None;
        for second in 0..90 {
            pace.wait(at(start, second));
            struck = struck.or(pace.judge(at(start, second), 1).map(|limit| (second, limit)));
            pace.moved(1, || at(start, second + 1));
        }
        assert_eq!(struck, Some((60, Limit::Rate)));
    }

    proptest::proptest! {
        #[test]
        fn who_keeps_the_rate_is_never_struck(
            waits in proptest::collection::vec(1u64..29, 1..100),
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new(SLOWNESS);
            for seconds in waits {
                pace.wait(now);
                let due = pace.next_check(now);
                now += Duration::from_secs(seconds);
                // Bytes in proportion to the wait, just before it would be judged.
                pace.moved(1024 * seconds as usize, || now);
                proptest::prop_assert!(due > now - Duration::from_secs(seconds));
                pace.wait(now);
                proptest::prop_assert_eq!(pace.judge(now, 1), None);
            }
        }
    }
}
