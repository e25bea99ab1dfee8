//! Tokens verified a moment ago, so that a page with a hundred requests costs one signature check.

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

use super::Caller;
use crate::cache::Cache;
use crate::weight;

/// Holds successes only, each for the version of the keys that vouched for it.
pub(super) struct TokenCache(Cache<CacheKey, Entry>);

/// The identity's index, the version of its keys, and the token's SHA-256: no token is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    identity: usize,
    generation: u64,
    token: [u8; 32],
}

#[derive(Clone)]
struct Entry {
    caller: Caller,
    begun: Instant,
    life: Duration,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_WEIGHT, weight))
    }

    pub(super) fn key(identity: usize, generation: u64, token: &str) -> CacheKey {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        CacheKey { identity, generation, token: sum }
    }

    pub(super) fn get(&self, key: &CacheKey, now: u64) -> Option<Caller> {
        let entry = self.0.get(key)?;
        if entry.is_good(now) {
            return Some(entry.caller);
        }
        self.0.remove_if(key, |entry| !entry.is_good(now));
        None
    }

    pub(super) fn insert(&self, key: CacheKey, caller: &Caller, now: u64) {
        let life = LIFE.min(Duration::from_secs(caller.expires.saturating_sub(now)));
        self.0.insert(key, Entry { caller: caller.clone(), begun: Instant::now(), life });
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
        now < self.caller.expires && self.begun.elapsed() < self.life
    }
}

fn weight(_: &CacheKey, entry: &Entry) -> u32 {
    let Caller { identity: _, user, claims, expires: _ } = &entry.caller;
    let fixed = weight::ENTRY + size_of::<(CacheKey, Entry)>();
    weight::of([fixed, user.len(), weight::value(claims)])
}

const LIFE: Duration = Duration::from_secs(60);
/// In bytes.
const MAX_WEIGHT: u64 = 8 * 1024 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn remembers_until_the_token_ends() {
        let cache = TokenCache::new();
        let key = TokenCache::key(0, 0, "token");
        cache.insert(key, &caller(json!({})), NOW);
        assert_eq!(&*cache.get(&key, NOW + 9).unwrap().user, "ann");
        assert!(cache.get(&key, NOW + 10).is_none());
        assert!(cache.get(&TokenCache::key(1, 0, "token"), NOW).is_none());
    }

    #[test]
    fn what_has_lived_its_life_is_gone() {
        let cache = TokenCache::new();
        let key = TokenCache::key(0, 0, "token");
        cache.insert(key, &caller(json!({})), NOW + 9);
        let aged = |entry: Entry| Entry { begun: entry.begun - LIFE, ..entry };
        let entry = cache.0.get(&key).unwrap();
        cache.0.insert(key, aged(entry));
        assert!(cache.get(&key, NOW).is_none());
        assert_eq!(cache.0.len(), 0);
    }

    #[test]
    fn an_entry_lives_no_longer_than_a_minute_or_its_token() {
        let cache = TokenCache::new();
        let life = |expires: u64| {
            let key = TokenCache::key(0, 0, &expires.to_string());
            cache.insert(key, &Caller { expires, ..caller(json!({})) }, NOW);
            cache.0.get(&key).unwrap().life
        };
        assert_eq!(life(NOW + 10), Duration::from_secs(10));
        assert_eq!(life(u64::MAX), LIFE);
    }

    #[test]
    fn is_bounded_by_weight() {
        for (claims, most) in [(json!({}), 15_000), (json!(["x".repeat(8192)]), 1024)] {
            let cache = TokenCache::new();
            for index in 0..20_000 {
                let key = TokenCache::key(index, 0, "");
                cache.insert(key, &caller(claims.clone()), NOW);
            }
            let entries = cache.0.len();
            assert!((most / 2..=most + 10).contains(&entries), "{entries}");
        }
    }

    #[test]
    fn shows_nothing() {
        let cache = TokenCache::new();
        cache.insert(TokenCache::key(0, 0, "t"), &caller(json!({"a": "secret"})), NOW);
        assert!(!format!("{cache:?}").contains("secret"));
    }

    fn caller(claims: Value) -> Caller {
        Caller {
            identity: "app".into(),
            user: "ann".into(),
            claims: Arc::new(claims),
            expires: NOW + 10,
        }
    }
}
