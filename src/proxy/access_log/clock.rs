//! When requests came, told from how long ago that was.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::telemetry::Rfc3339;

/// One reading of both clocks. Set anew now and then: the one that people read is put right, and may sleep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Instant,
    since_epoch: Duration,
}

impl Clock {
    pub(super) fn set() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), since_epoch }
    }

    pub(super) fn time(&self, at: Instant) -> Rfc3339 {
        Rfc3339(match at.checked_duration_since(self.now) {
            Some(later) => self.since_epoch + later,
            None => self.since_epoch.saturating_sub(self.now - at),
        })
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_it_was_set() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let clock = Clock { now, since_epoch: Duration::from_secs(951_782_400) };
        assert_eq!(clock.time(now - second).to_string(), "2000-02-28T23:59:59.000Z");
        assert_eq!(clock.time(now + second).to_string(), "2000-02-29T00:00:01.000Z");
    }
}
