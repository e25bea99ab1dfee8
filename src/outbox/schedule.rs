//! When to try again.

use std::time::Duration;

/// How long to wait after `failures` failed attempts in a row (1 or more).
///
/// Exponential with full jitter, so that neither jobs nor replicas come back together. What DWS
/// asked for with `Retry-After` is the least. `random` is in `0.0..1.0`.
pub(super) fn delay(
    pace: Pace,
    failures: u32,
    retry_after: Option<Duration>,
    random: f64,
) -> Duration {
    let base = match pace {
        Pace::Quick => QUICK,
        Pace::Slow => SLOW,
    };
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let ceiling = (base * 2_u32.pow(doublings)).min(MAX_BACKOFF);
    let jittered = ceiling.mul_f64(random.clamp(0.0, 1.0));
    jittered.max(MIN_DELAY).max(retry_after.unwrap_or_default().min(MAX_DELAY))
}

/// How soon a failure is likely to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// By itself: from 1 s.
    Quick,
    /// When the operator acts: from 1 min.
    Slow,
}

/// No delay is longer, whatever DWS asks for.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(60 * 60);
const MAX_BACKOFF: Duration = Duration::from_secs(10 * 60);
/// Full jitter may come out as nothing; a loop that can't spin is worth a moment.
const MIN_DELAY: Duration = Duration::from_millis(50);
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(60);
/// 2^10 s is past [`MAX_BACKOFF`].
const MAX_DOUBLINGS: u32 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stays_within_bounds(
            slow: bool,
            failures: u32,
            asked in proptest::option::of(any::<u32>()),
            random in 0.0..1.0_f64,
        ) {
            let pace = if slow { Pace::Slow } else { Pace::Quick };
            let asked = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
            let delay = delay(pace, failures, asked, random);
            prop_assert!(delay >= MIN_DELAY);
            prop_assert!(delay <= MAX_DELAY);
            match asked {
                Some(asked) => prop_assert!(delay >= asked.min(MAX_DELAY)),
                None => prop_assert!(delay <= MAX_BACKOFF),
            }
        }

        #[test]
        fn never_shrinks_with_more_failures(failures in 0..1000_u32, random in 0.0..1.0_f64) {
            for pace in [Pace::Quick, Pace::Slow] {
                prop_assert!(
                    delay(pace, failures, None, random) <= delay(pace, failures + 1, None, random)
                );
            }
        }
    }

    #[test]
    fn doubles_from_its_base_up_to_its_cap() {
        let highest = |pace, failures| delay(pace, failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 10, 11].map(|n| highest(Pace::Quick, n)), [1, 2, 4, 8, 512, 600]);
        assert_eq!([1, 2, 5, u32::MAX].map(|n| highest(Pace::Slow, n)), [60, 120, 600, 600]);
    }
}
