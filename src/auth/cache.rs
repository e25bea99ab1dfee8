//! Tokens verified a moment ago, so that a page with a hundred requests costs one signature check.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::Equivalent;

use super::Caller;
use crate::cache::Cache;
use crate::weight;

/// Holds successes only, each for the version of the keys that vouched for it.
pub(super) struct TokenCache(Cache<CacheKey, Entry>);

/// The token itself, not its digest, which would cost each view more than all its other caches.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CacheKey {
    identity: usize,
    generation: u64,
    token: Arc<[u8]>,
}

/// The identity's index, the version of its keys, and the token. Hashed as the key, field by field.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Verified<'a> {
    pub(super) identity: usize,
    pub(super) generation: u64,
    pub(super) token: &'a [u8],
}

impl Equivalent<CacheKey> for Verified<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        let CacheKey { identity, generation, token } = key;
        *self == Verified { identity: *identity, generation: *generation, token }
    }
}

#[derive(Clone)]
struct Entry {
    caller: Arc<Caller>,
    until: Instant,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_WEIGHT, weight))
    }

    pub(super) fn get(&self, verified: Verified<'_>, now: u64) -> Option<Arc<Caller>> {
        let entry = self.0.get(&verified)?;
        if entry.is_good(now) {
            return Some(entry.caller);
        }
        self.0.remove_if(&verified, |entry| !entry.is_good(now));
        None
    }

    pub(super) fn insert(&self, verified: Verified<'_>, caller: &Arc<Caller>, now: u64) {
        let Verified { identity, generation, token } = verified;
        let key = CacheKey { identity, generation, token: token.into() };
        let until = Instant::now() + life(caller.expires, now);
        self.0.insert(key, Entry { caller: caller.clone(), until });
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.0.len()).finish()
    }
}

impl Entry {
    /// Until `expires`; a token that lives on by its leeway is verified once more, to get its later end.
    /// The wall clock may have jumped since the entry was made, so both clocks have a say.
    fn is_good(&self, now: u64) -> bool {
        now < self.caller.expires && Instant::now() < self.until
    }
}

fn life(expires: u64, now: u64) -> Duration {
    LIFE.min(Duration::from_secs(expires.saturating_sub(now)))
}

fn weight(key: &CacheKey, entry: &Entry) -> u32 {
    let Caller { identity: _, user, claims, expires: _ } = &*entry.caller;
    let fixed = weight::ENTRY + size_of::<(CacheKey, Entry)>() + size_of::<Caller>();
    weight::of([fixed, key.token.len(), user.len(), weight::value(claims)])
}

const LIFE: Duration = Duration::from_secs(60);
/// In bytes.
const MAX_WEIGHT: u64 = 8 * 1024 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn remembers_until_the_token_ends() {
        let cache = TokenCache::new();
        let key = verified(0, "token");
        cache.insert(key, &caller(json!({})), NOW);
        assert_eq!(&*cache.get(key, NOW + 9).unwrap().user, "ann");
        assert!(cache.get(key, NOW + 10).is_none());
        for other in [verified(1, "token"), verified(0, "tokem"), verified(0, "token2")] {
            cache.insert(key, &caller(json!({})), NOW);
            assert!(cache.get(other, NOW).is_none());
        }
        assert!(cache.get(Verified { generation: 1, ..key }, NOW).is_none(), "other keys");
    }

    #[test]
    fn what_has_lived_its_life_is_gone() {
        let cache = TokenCache::new();
        let key = verified(0, "token");
        cache.insert(key, &caller(json!({})), NOW + 9);
        let aged = |entry: Entry| Entry { until: entry.until - LIFE, ..entry };
        let entry = cache.0.get(&key).unwrap();
        let Verified { identity, generation, token } = key;
        cache.0.insert(CacheKey { identity, generation, token: token.into() }, aged(entry));
        assert!(cache.get(key, NOW).is_none());
        assert_eq!(cache.0.len(), 0);
    }

    #[test]
    fn an_entry_lives_no_longer_than_a_minute_or_its_token() {
        assert_eq!(life(NOW + 10, NOW), Duration::from_secs(10));
        assert_eq!(life(u64::MAX, NOW), LIFE);
        assert_eq!(life(NOW, NOW + 1), Duration::ZERO);
    }

    #[test]
    fn is_bounded_by_weight() {
        for (claims, most) in [(json!({}), 15_000), (json!(["x".repeat(8192)]), 1024)] {
            let cache = TokenCache::new();
            for index in 0..20_000 {
                cache.insert(verified(index, ""), &caller(claims.clone()), NOW);
            }
            let entries = cache.0.len();
            assert!((most / 2..=most + 10).contains(&entries), "{entries}");
        }
    }

    #[test]
    fn shows_nothing() {
        let cache = TokenCache::new();
        cache.insert(verified(0, "secret"), &caller(json!({"a": "secret"})), NOW);
        assert!(!format!("{cache:?}").contains("secret"));
    }

    fn verified(identity: usize, token: &str) -> Verified<'_> {
        Verified { identity, generation: 0, token: token.as_bytes() }
    }

    fn caller(claims: Value) -> Arc<Caller> {
        let (identity, user) = ("app".into(), "ann".into());
        Arc::new(Caller { identity, user, claims, expires: NOW + 10 })
    }
}
