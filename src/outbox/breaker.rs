//! The circuit breaker of a lane. Pure.

/// Closed while the backend works. A failure opens it: nothing is tried until a time. Then it is half open: one attempt
/// at a time, until one works.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    /// In a row.
    failures: u32,
    /// In Unix milliseconds.
    open_until: u64,
}

impl CircuitBreaker {
    /// Whether one more attempt may be made beside those that are `running`.
    pub(super) fn permits(&self, now: u64, running: usize) -> bool {
        let half_open = self.failures > 0;
        now >= self.open_until && !(half_open && running > 0)
    }

    /// Whether it was open, or half open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(self).failures > 0
    }

    /// Attempts that were under way when it opened belong to the same failure. Whether it was not open.
    pub(super) fn open(&mut self, now: u64, until: u64) -> bool {
        let opens = now >= self.open_until;
        if opens {
            self.failures = self.failures.saturating_add(1);
        }
        self.open_until = self.open_until.max(until);
        opens
    }

    /// One attempt may be made before its time.
    pub(super) fn half_open(&mut self, now: u64) {
        self.open_until = self.open_until.min(now);
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When it lets an attempt through again; `None` if it does now.
    pub(super) fn half_opens_at(&self, now: u64) -> Option<u64> {
        (self.open_until > now).then_some(self.open_until)
    }
}
