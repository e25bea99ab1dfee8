//! Caches that every view looks into, bounded in bytes or in number.
//!
//! A look costs a hash, a read lock of one shard and one bit. Keys hold what peers choose, so the hash is keyed
//! with random numbers of the operating system.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use quick_cache::sync::DefaultLifecycle;
use quick_cache::{Equivalent, Options, OptionsBuilder, Weighter};
use tokio::time::Instant;

use crate::random::RandomState;

/// Forgets what was not asked for lately when it holds too much. What is too old is the caller's to judge.
pub(crate) struct Cache<K, V>(Inner<K, V>);

type Inner<K, V> = quick_cache::sync::Cache<K, V, Weight<K, V>, RandomState>;

#[derive(Clone)]
struct Weight<K, V>(fn(&K, &V) -> u32);

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// `weight` is that of one entry, in bytes.
    pub(crate) fn new(bytes: u64, weight: fn(&K, &V) -> u32) -> Self {
        Self(inner(options(bytes, bytes / TYPICAL), weight))
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

/// Entries that count for a while, bounded in number.
pub(crate) struct Recent<K, V> {
    entries: Inner<K, (V, Instant)>,
    life: Duration,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    pub(crate) fn new(most: u64, life: Duration) -> Self {
        Self { entries: inner(options(most, most), |_, _| 1), life }
    }

    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        let (value, since) = self.entries.get(key)?;
        (since.elapsed() < self.life).then_some(value)
    }

    pub(crate) fn contains<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.entries.insert(key, (value, Instant::now()));
    }

    pub(crate) fn remove<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.entries.remove(key);
    }

    pub(crate) fn clear(&self) {
        self.entries.clear();
    }

    /// What is there, or `value`, for all who ask for this key at the same time.
    pub(crate) fn get_or_insert(&self, key: &K, value: impl FnOnce() -> V) -> V {
        if let Some(found) = self.get(key) {
            return found;
        }
        self.forget_if_old(key);
        let insert = || Ok::<_, std::convert::Infallible>((value(), Instant::now()));
        match self.entries.get_or_insert_with(key, insert) {
            Ok((value, _)) => value,
        }
    }

    fn forget_if_old<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.entries.remove_if(key, |(_, since)| since.elapsed() >= self.life);
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone> Recent<K, Result<V, E>> {
    /// What is there, or what `work` brings, once for all who ask for this key at the same time. An error is theirs
    /// and is not kept. When the one whose `work` is under way leaves, the next one's begins.
    pub(crate) async fn once<Q>(
        &self,
        key: &Q,
        work: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(found) = self.get(key) {
            return found;
        }
        self.forget_if_old(key);
        let place = match self.entries.get_value_or_guard_async(key).await {
            Ok((found, _)) => return found,
            Err(place) => place,
        };
        let found = work.await;
        // Fails where the key was removed meanwhile: what was found is not kept then.
        let _ = place.insert((found.clone(), Instant::now()));
        if found.is_err() {
            self.entries.remove_if(key, |(found, _)| found.is_err());
        }
        found
    }
}

impl<K: Hash + Eq + Clone, V: Clone> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("entries", &self.entries.len()).finish()
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

fn inner<K: Hash + Eq + Clone, V: Clone>(
    options: Options,
    weight: fn(&K, &V) -> u32,
) -> Inner<K, V> {
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    Inner::with_options(options, Weight(weight), hasher, lifecycle)
}

fn options(weight: u64, entries: u64) -> Options {
    let mut options = OptionsBuilder::new();
    options.shards(SHARDS).weight_capacity(weight);
    options.estimated_items_capacity(entries as usize);
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

    #[tokio::test(start_paused = true)]
    async fn an_entry_counts_for_a_while_and_the_oldest_make_room() {
        let recent = Recent::new(1000, Duration::from_secs(60));
        for number in 0..10_000 {
            recent.insert(number, number);
        }
        assert!(recent.entries.len() <= 1000);
        assert_eq!(recent.get(&9999), Some(9999));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(recent.get(&9999), None);
        assert_eq!(recent.get_or_insert(&9999, || 1), 1);
        assert_eq!(recent.get_or_insert(&9999, || 2), 1);
    }

    #[tokio::test]
    async fn many_at_once_are_told_one_error_and_the_next_asks_again() {
        let recent = Recent::<u8, Result<u8, usize>>::new(100, Duration::from_secs(60));
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let ask = || async {
            let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(number)
        };
        let many = futures_util::future::join_all((0..100).map(|_| recent.once(&7, ask()))).await;
        assert!(many.iter().all(|told| *told == Err(0)), "{many:?}");
        assert_eq!(recent.once(&7, ask()).await, Err(1));
        assert_eq!(recent.once(&7, async { Ok(3) }).await, Ok(3));
        assert_eq!(recent.once(&7, ask()).await, Ok(3));
    }

    #[tokio::test]
    async fn who_leaves_before_the_answer_takes_nobody_along() {
        let recent = Recent::<u8, Result<u8, ()>>::new(100, Duration::from_secs(60));
        let (left, other) = tokio::join!(
            tokio::time::timeout(Duration::from_millis(5), recent.once(&7, std::future::pending())),
            recent.once(&7, async { Ok(1) }),
        );
        assert!(left.is_err());
        assert_eq!(other, Ok(1));
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
