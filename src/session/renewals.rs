//! How often a session may be had anew.

use std::time::{Duration, Instant};

use super::Holder;
use crate::cache::Cache;
use crate::weight;

/// Sessions cost. A holder whose session for a document has been refused gets another one; if that goes on, later
/// and later.
#[derive(Debug)]
pub(super) struct Renewals(Cache<Key, Renewal>);

/// The holder and the document.
type Key = (Holder, String);

#[derive(Clone, Copy, Debug)]
struct Renewal {
    /// From when on there may be another one.
    due: Instant,
    /// From the last one until then.
    wait: Duration,
    asked: Instant,
}

impl Renewals {
    pub(super) fn new() -> Self {
        Self(Cache::new(CACHE_BYTES, |(holder, document_id), _| {
            let holder = match holder {
                Holder::User { identity, user } => identity.len() + user.len(),
                Holder::Credentials(_) => 0,
            };
            let fixed = weight::ENTRY + size_of::<(Key, Renewal)>();
            weight::of([fixed, holder, document_id.len()])
        }))
    }

    /// Whether this holder may have one now, which then counts.
    pub(super) fn admit(&self, holder: &Holder, document_id: &str) -> bool {
        let key = (holder.clone(), document_id.to_owned());
        let (admitted, renewal) = Renewal::after(self.0.get(&key), Instant::now());
        self.0.insert(key, renewal);
        admitted
    }
}

impl Renewal {
    fn after(last: Option<Self>, now: Instant) -> (bool, Self) {
        let last = last.filter(|last| now.saturating_duration_since(last.asked) < QUIET);
        let wait = match last {
            None => FIRST,
            Some(last) if last.due <= now => (last.wait * 2).min(LONGEST),
            Some(last) => return (false, Self { asked: now, ..last }),
        };
        (true, Self { due: now + wait, wait, asked: now })
    }
}

/// Between the first one and the second.
pub(super) const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Of a holder who did not ask for so long, nothing is remembered. Longer than [`LONGEST`], so that asking now
/// and then yields no more than asking all the time.
const QUIET: Duration = Duration::from_secs(10 * 60);
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which somebody who asks at each of these gets one.
    fn admitted(asks: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (began, mut last) = (Instant::now(), None);
        let ask = |second: &u64| {
            let (admitted, renewal) = Renewal::after(last, began + Duration::from_secs(*second));
            last = Some(renewal);
            admitted
        };
        asks.into_iter().filter(ask).collect()
    }

    #[test]
    fn later_and_later_while_it_goes_on() {
        let hour = admitted(0..3600);
        assert_eq!(hour[..9], [0, 2, 6, 14, 30, 62, 126, 254, 510]);
        assert_eq!(hour[9..11], [810, 1110], "at most five minutes");
        assert!(hour.len() < 20);
    }

    #[test]
    fn forgotten_after_a_while() {
        assert_eq!(admitted([0, 2, 6, 7, 607, 609, 610]), [0, 2, 6, 607, 609]);
        assert_eq!(admitted([0, 2, 6, 7, 606, 607]), [0, 2, 6, 606], "asking in vain counts");
    }

    #[test]
    fn each_holder_and_document_by_itself() {
        let renewals = Renewals::new();
        let ann = Holder::User { identity: "app".into(), user: "ann".into() };
        let (one, other) = (Holder::Credentials([1; 32]), Holder::Credentials([2; 32]));
        for holder in [&ann, &one, &other] {
            for document in ["D1", "D2"] {
                assert!(renewals.admit(holder, document));
                assert!(!renewals.admit(holder, document));
            }
        }
    }
}
