//! The rate limit of a lane. Pure.

/// At most so many attempts at once, and in the long run one per interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u32,
    /// Milliseconds in which one token comes back.
    pub(super) interval: u64,
}

/// Full at first. Each attempt takes a token.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: Rate,
    /// When it will be full again, in Unix milliseconds.
    full_at: u64,
}

impl TokenBucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: 0 }
    }

    /// When there is a token; `None` if there is one now.
    pub(super) fn ready_at(&self, now: u64) -> Option<u64> {
        let spared = u64::from(self.rate.burst.saturating_sub(1)) * self.rate.interval;
        let at = self.full_at.saturating_sub(spared);
        (at > now).then_some(at)
    }

    /// One that there is, see [`ready_at`](Self::ready_at).
    pub(super) fn take(&mut self, now: u64) {
        self.full_at = self.full_at.max(now).saturating_add(self.rate.interval);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Over any span of time, whenever attempts are wanted.
        #[test]
        fn never_more_than_the_burst_and_what_came_back(
            burst in 1..20_u32,
            interval in 1..1000_u64,
            waits in proptest::collection::vec(0..2000_u64, 1..200),
        ) {
            let mut bucket = TokenBucket::new(Rate { burst, interval });
            let (mut now, mut taken) = (1_000_000, Vec::new());
            for wait in waits {
                now += wait;
                if bucket.ready_at(now).is_none() {
                    bucket.take(now);
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, until) in taken.iter().enumerate().skip(first) {
                    let allowed = u64::from(burst) + (until - from) / interval;
                    let others = (last - first) as u64;
                    prop_assert!(others < allowed);
                }
            }
        }

        #[test]
        fn one_who_waits_as_told_gets_a_token(burst in 1..20_u32, interval in 1..1000_u64) {
            let mut bucket = TokenBucket::new(Rate { burst, interval });
            let mut now = 5;
            for _ in 0..100 {
                now = bucket.ready_at(now).unwrap_or(now);
                prop_assert_eq!(bucket.ready_at(now), None);
                bucket.take(now);
            }
            prop_assert_eq!(now, 5 + u64::from(100 - burst) * interval);
        }
    }
}
