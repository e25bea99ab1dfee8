//! Caches that every view looks into, bounded in bytes.
//!
//! A look costs a hash, a read lock of one shard and one bit. Keys hold what peers choose, so the hash is keyed
//! with random numbers of the operating system.

use std::fmt;
use std::hash::Hash;

use quick_cache::sync::DefaultLifecycle;
use quick_cache::{Equivalent, Options, OptionsBuilder, Weighter};

/// Forgets what was not asked for lately when it holds too much. What is too old is the caller's to judge.
pub(crate) struct Cache<K, V>(Inner<K, V>);

type Inner<K, V> = quick_cache::sync::Cache<K, V, Weight<K, V>, ahash::RandomState>;

#[derive(Clone)]
struct Weight<K, V>(fn(&K, &V) -> u32);

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// `weight` is that of one entry, in bytes.
    pub(crate) fn new(bytes: u64, weight: fn(&K, &V) -> u32) -> Self {
        let (hasher, lifecycle) = (ahash::RandomState::new(), DefaultLifecycle::default());
        Self(Inner::with_options(options(bytes), Weight(weight), hasher, lifecycle))
    }

    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    pub(crate) fn remove_if<Q>(&self, key: &Q, unwanted: impl FnOnce(&V) -> bool)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.0.remove_if(key, unwanted);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, V> Weighter<K, V> for Weight<K, V> {
    fn weight(&self, key: &K, value: &V) -> u64 {
        u64::from((self.0)(key, value))
    }
}

impl<K: Hash + Eq + Clone, V: Clone> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries", &self.len()).finish()
    }
}

fn options(bytes: u64) -> Options {
    let mut options = OptionsBuilder::new();
    options.shards(SHARDS).weight_capacity(bytes);
    options.estimated_items_capacity((bytes / TYPICAL) as usize);
    // It fails only without these.
    options.build().expect("both capacities are given")
}

/// An entry must fit into its shard, and the largest are tens of KiB.
const SHARDS: usize = 8;
/// Bytes of an entry, for how much is remembered of what was forgotten.
const TYPICAL: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Cache<String, String> {
        Cache::new(64 * 1024, |key, value| (key.len() + value.len()) as u32)
    }

    #[test]
    fn is_bounded_by_what_its_entries_weigh() {
        let cache = cache();
        for index in 0..10_000 {
            cache.insert(format!("{index:024}"), "x".repeat(1000));
        }
        assert!((32..=64).contains(&cache.len()), "{}", cache.len());
        assert!(cache.get("000000000000000000009999").is_some(), "the latest is there");
    }

    #[test]
    fn what_is_too_heavy_leaves_nothing_older_behind() {
        let cache = cache();
        cache.insert("a".to_owned(), "old".to_owned());
        cache.insert("a".to_owned(), "x".repeat(64 * 1024));
        assert_eq!(cache.get("a"), None);
    }

    #[test]
    fn only_what_is_unwanted_goes() {
        let cache = cache();
        cache.insert("a".to_owned(), "1".to_owned());
        cache.remove_if("a", |value| value == "2");
        assert_eq!(cache.get("a").as_deref(), Some("1"));
        cache.remove_if("a", |value| value == "1");
        assert_eq!(cache.get("a"), None);
    }
}
